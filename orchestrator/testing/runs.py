"""The run table and its counts in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.domain.ids import RunId, Signature
from orchestrator.domain.incidents import FINAL, Incident, IncidentState, Origin
from orchestrator.domain.outbreaks import Member, Outbreak
from orchestrator.domain.runs import BEFORE_ASKING, PlaybookJob, PlaybookResult, Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Attempt
from orchestrator.errors import RecordError
from orchestrator.ports import ACTING, NOT_ATTEMPTS, Statistics
from orchestrator.testing.incidents import MemoryIncidents


class MemoryRuns(MemoryIncidents):
    """The run part of ports.Store, and what is counted."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._runs: dict[str, Run] = {}
        self._run_signatures: dict[str, frozenset[Signature]] = {}
        self._held: dict[str, RunId] = {}
        self._outbreaks: dict[str, Outbreak] = {}
        self._members: dict[str, Member] = {}

    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None:
        names = tuple(host.name for host in job.hosts)
        with self._lock:
            if job.run_id in self._runs:
                return RunStatus.RUNNING
            stopped = self._stopped if job.kind in ACTING else None
            if not stopped and (any(name in self._held for name in names) or self._in_a_wave(names, job.incident_id)):
                return RunStatus.BUSY
            now = self._clock()
            self._runs[job.run_id] = Run(
                id=job.run_id,
                incident_id=job.incident_id,
                kind=job.kind,
                action=job.action,
                parameters=dict(job.parameters),
                hosts=names,
                status=RunStatus.REFUSED if stopped else RunStatus.RUNNING,
                started=now,
                ended=now if stopped else None,
                reason=stopped or "",
            )
            self._run_signatures[job.run_id] = signatures
            text, host = f"{job.kind} of {job.action}", ",".join(names)
            if stopped:
                self.append("run.refused", incident_id=job.incident_id, host=host, text=f"{text}: {stopped}")
                return RunStatus.REFUSED
            self._held |= dict.fromkeys(names, job.run_id)
            self.append("run.started", incident_id=job.incident_id, host=host, text=text)
        return None

    def _in_a_wave(self, hosts: Sequence[str], but: str) -> bool:
        return any(one.held and one.host in hosts and one.outbreak_id != but for one in self._members.values())

    def started(self, run_id: RunId, pid: int, pid_start: int, *, lease_seconds: float) -> bool:
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or run.status is not RunStatus.RUNNING:
                return False
            until = time.time() + lease_seconds
            self._runs[run_id] = replace(run, pid=pid, pid_start=pid_start, lease_until=until)
            return True

    def renew(self, run_id: str, *, lease_seconds: float) -> bool:
        """What a supervisor does over record.lease: False where the run is not running."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or run.status is not RunStatus.RUNNING:
                return False
            self._runs[run_id] = replace(run, lease_until=time.time() + lease_seconds)
            return True

    def _read(self, run: Run) -> Run:
        return run if run.lease_until is None else replace(run, lease_left=run.lease_until - time.time())

    def finish(self, result: PlaybookResult, *, slot_shut: bool) -> Run:
        if result.status is RunStatus.RUNNING:
            raise ValueError("running is not an end")
        with self._lock:
            now = self._runs.get(result.run_id)
            if now is None:
                raise RecordError(f"There is no run {result.run_id}, so its end can't be recorded.")
            if now.status is not RunStatus.RUNNING:
                return now
            done = replace(
                now,
                status=result.status,
                rc=result.rc,
                reason=result.reason,
                ended=result.ended or self._clock(),
                slot_shut=slot_shut,
                ends={
                    host: replace(end, settled=end.settled or not slot_shut)
                    for host, end in result.ends.items()
                    if host in now.hosts
                },
            )
            self._runs[done.id] = done
            self._release(done.id)
            text = f"{done.kind} of {done.action}: {done.status} {done.reason}".rstrip()
            self.append("run.ended", incident_id=done.incident_id, host=",".join(done.hosts), text=text)
        return done

    def _release(self, run_id: RunId) -> None:
        """All hosts of a run but those that may still be at work."""
        run = self._runs[run_id]
        self._held = {host: holder for host, holder in self._held.items() if holder != run_id or run.on(host).slot_shut}

    def open_slot(self, run_id: RunId) -> None:
        with self._lock:
            now = self._runs.get(run_id)
            if now is None or not now.slot_shut:
                return
            ends = {host: replace(end, settled=True) for host, end in now.ends.items()}
            self._runs[run_id] = replace(now, slot_shut=False, ends=ends)
            self._release(run_id)
            text = f"nothing of {run_id} runs any more"
            self.append("slot.opened", incident_id=now.incident_id, host=",".join(now.hosts), text=text)

    def run(self, run_id: str) -> Run | None:
        found = self._runs.get(run_id)
        return None if found is None else self._read(found)

    def runs(
        self,
        *,
        incident_id: str | None = None,
        host: str | None = None,
        kinds: Sequence[RunKind] = (),
        limit: int = 100,
    ) -> tuple[Run, ...]:
        with self._lock:
            found = sorted(self._runs.values(), key=lambda one: (one.started, one.id), reverse=True)
        member = self._members.get(incident_id or "")
        return tuple(
            self._read(one.on(member.host) if member and one.incident_id == member.outbreak_id else one)
            for one in found
            if (incident_id in (None, one.incident_id) or incident_id in self._owners(one))
            and (host is None or host in one.hosts)
            and (not kinds or one.kind in kinds)
        )[:limit]

    def _owners(self, run: Run, *, attempted: bool = False) -> set[str]:
        """The incidents of a run: its own, or each member of its outbreak whose host it had."""
        hosts = [one for one in run.hosts if not attempted or run.on(one).status not in NOT_ATTEMPTS]
        members: set[str] = {
            one.incident_id
            for one in self._members.values()
            if one.outbreak_id == run.incident_id and one.host in hosts
        }
        return members or ({run.incident_id} if hosts else set())

    def artifacts_due(self) -> dict[str, bool]:
        with self._lock:
            return {one.id: one.pid is not None and one.ended is not None for one in self._runs.values()}

    def shut_runs(self) -> tuple[Run, ...]:
        with self._lock:
            found = [self._read(one) for one in self._runs.values() if one.status is RunStatus.RUNNING or one.slot_shut]
        return tuple(sorted(found, key=lambda one: (one.started, one.id)))

    def attempts(self, host: str, since: datetime) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(
                host=host,
                action=one.action,
                parameters=one.parameters,
                signatures=self._run_signatures[one.id],
                at=one.started,
            )
            for one in reversed(self.runs(host=host, kinds=(RunKind.ACT,), limit=10**9))
            if one.on(host).status not in NOT_ATTEMPTS and one.started >= since
        )

    def statistics(self, *, injected: bool = False) -> Statistics:
        states = [one.state for one in self._acted(injected=injected)]
        healed = states.count(IncidentState.HEALED)
        pending = sum(state not in FINAL for state in states)
        failed = len(states) - healed - pending
        return Statistics(total_attempts=len(states), successful=healed, failed=failed, pending=pending)

    def healing_seconds(self, *, injected: bool = False) -> tuple[float, ...]:
        seconds = []
        for incident in self._acted(injected=injected):
            every = self.runs(incident_id=incident.id, limit=10**9)
            runs = [one for one in every if one.ended and one.kind not in BEFORE_ASKING]
            if incident.state in FINAL and runs:
                last = max(one.ended for one in runs if one.ended)
                seconds.append((last - min(one.started for one in runs)).total_seconds())
        return tuple(seconds)

    def _acted(self, *, injected: bool) -> list[Incident]:
        """The incident of each attempt."""
        acts = self.runs(kinds=(RunKind.ACT,), limit=10**9)
        owners = [owner for one in acts for owner in self._owners(one, attempted=True)]
        found = (self._incidents[owner] for owner in owners if owner in self._incidents)
        return sorted((one for one in found if injected or one.origin is not Origin.INJECTED), key=lambda one: one.id)
