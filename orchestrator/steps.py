"""What every step of a healing stands on: the rooms, and how a step is tried again, given up, or cut.

It knows no order; `healing.py` does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from orchestrator.catalog import Catalog
from orchestrator.detect.detector import Detector
from orchestrator.domain import ids
from orchestrator.domain.actions import ESCALATE, Action, Decision, ParameterSource
from orchestrator.domain.gauges import Gauges
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import IncidentId, RunId, Signature
from orchestrator.domain.incidents import UNDER_WAY, Incident, IncidentState, Origin
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Facts, Verdict
from orchestrator.errors import HealingError, Interrupted, RecordError, StoreUnavailable, TemporaryError
from orchestrator.fleet_state import fleet_state
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.notify.alarm import StoreAlarm
from orchestrator.notify.notifier import Notifier
from orchestrator.ports import Chooser, Engine, Executor, Fleet, Probe, Store
from orchestrator.settings import Settings
from orchestrator.verify.judgement import cannot_tell

#: Attempts count over a rolling day.
ATTEMPT_WINDOW = timedelta(hours=24)
#: Seconds between tries of a step that failed for a passing reason (a host that reboots, a model that is busy).
PASSING = (1.0, 5.0, 15.0)
#: The same after the act, so that a host that reboots in the middle of it is still looked at: some minutes.
AFTER_ACT = (1.0, 5.0, 15.0, 30.0, 30.0, 30.0)
#: Seconds between tries while the store can't be written: nothing acts that can't be recorded, and nothing is lost.
STORE_PAUSE = 2.0
#: Runs that change nothing.
READING = frozenset({RunKind.LOOK, RunKind.PLAN, RunKind.CHECK, RunKind.VERIFY})
#: Ends that say nothing of the host: it never began, or it was cut.
CUT = frozenset({RunStatus.REFUSED, RunStatus.UNKNOWN})
#: Seconds between tries, and how many, while an earlier run may still be at work on the host.
BUSY_PAUSE, BUSY_TRIES = 5.0, 12

log = logging.getLogger("healing")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """The rooms that a healing walks through."""

    settings: Settings
    engine: Engine
    store: Store
    fleet: Fleet
    catalog: Catalog
    detector: Detector
    chooser: Chooser
    probe: Probe
    executor: Executor
    notifier: Notifier
    alarm: StoreAlarm
    now: Callable[[], datetime]
    #: Waits so many seconds; True: the worker ends.
    wait: Callable[[float], bool]
    #: What `healer serve` is asked of, beyond what is recorded.
    gauges: Callable[[], Gauges] = Gauges
    #: Held while one healing is judged and let in: the next one is judged by what this one takes up.
    admission: threading.Lock = field(default_factory=threading.Lock, repr=False)


def inspect(probe: Probe, host: Host, action: Action, parameters: Mapping[str, str]) -> Facts:
    """What the host says of what the parameters name; where they name nothing it is not asked. Raises as Probe does."""
    chosen = [(one.source, parameters[one.name]) for one in action.parameters if one.name in parameters]
    units = [value for source, value in chosen if source is ParameterSource.UNIT]
    paths = [value for source, value in chosen if source is ParameterSource.PATH]
    return probe.inspect(host, units, paths) if units or paths else Facts()


class Steps:
    """The guarded parts that a healing is made of, for one incident by its id."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._store = rooms.store
        self._step = rooms.engine.step

    def _do(self, name: str, function: Callable[..., T], incident_id: str, *rest: object) -> T | bool:
        """A recorded step, guarded."""
        answer: T | bool = self._step(name, self._guarded, function, incident_id, *rest)
        return answer

    def _guarded(self, function: Callable[..., Any], incident_id: str, *rest: object) -> Any:
        """The top of a healing's step: it is tried again while that may help; else a person is told and it is False.

        Raises Interrupted, and nothing else, so that no outcome is recorded of a worker that ends.
        """
        tries = 0
        while True:
            try:
                return function(incident_id, *rest)
            except (StoreUnavailable, RecordError) as error:
                self._rooms.alarm.failed(str(error))
                pause: float | None = STORE_PAUSE
            except TemporaryError as error:
                pause, sentence = next(iter(self._patience(incident_id)[tries:]), None), str(error)
                tries += 1
            except HealingError as error:
                pause, sentence = None, str(error)
            except Exception as error:  # a bug must not leave an incident stuck: tell a person
                log.exception("%s: %s", incident_id, function.__name__)
                pause, sentence = None, f"internal error in {function.__name__.strip('_')}: {error!r}"
            self._pause(pause or 0)
            if pause is None:
                function, rest = self._give_up, (sentence,)

    def _give_up(self, incident_id: str, sentence: str) -> bool:
        act = self._act_run(incident_id)
        self.escalate(incident_id, f"nothing was done: {sentence}" if act is None else cannot_tell(act, sentence))
        return False

    def _patience(self, incident_id: str) -> tuple[float, ...]:
        """Seconds between the tries of a step that fails for a passing reason."""
        try:
            return PASSING if self._act_run(incident_id) is None else AFTER_ACT
        except (StoreUnavailable, RecordError):
            return AFTER_ACT

    def _act_run(self, incident_id: str) -> Run | None:
        own = self._store.run(ids.run_id(IncidentId(incident_id), RunKind.ACT))
        member = None if own else self._store.membership(incident_id)
        if member is None:
            return own
        wave = self._store.run(ids.run_id(ids.wave_id(member.outbreak_id, member.wave), RunKind.ACT))
        return wave.on(member.host) if wave and member.host in wave.hosts else None

    def _pause(self, seconds: float) -> None:
        if self._rooms.wait(seconds):
            raise Interrupted

    def _run(self, incident_id: str, kind: RunKind, *, digest: str = "") -> PlaybookResult:
        """Run it once for one incident on its host, as `_play` does."""
        action, decision = self._action(incident_id), self._decision(incident_id)
        run_id, hosts = ids.run_id(IncidentId(incident_id), kind), (self._host(incident_id),)
        return self._play(self._job(run_id, incident_id, kind, action, decision.parameters, hosts, digest))

    def _job(
        self,
        run_id: RunId,
        incident_id: str,
        kind: RunKind,
        action: Action,
        parameters: Mapping[str, str],
        hosts: tuple[Host, ...],
        digest: str,
    ) -> PlaybookJob:
        """Of an incident, or of an outbreak by its id."""
        return PlaybookJob(
            run_id=run_id,
            incident_id=IncidentId(incident_id),
            kind=kind,
            action=action.id,
            playbook=action.playbook(kind),
            roles=self._rooms.settings.roles_dir,
            parameters=parameters,
            hosts=hosts,
            task_timeout=action.task_timeout,
            run_timeout=action.run_timeout,
            digest=digest,
        )

    def _play(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        """Run once. A reading that was cut says nothing of the host: it is begun anew once, with a name of its own."""
        result = self._execute(job, signatures)
        if job.kind in READING and result.status in CUT:
            return self._execute(replace(job, run_id=ids.again(job.run_id)), signatures)
        return result

    def _execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None) -> PlaybookResult:
        """Run it, waiting a while for whoever may still be at work on a host. See ports.Executor."""
        for _ in range(BUSY_TRIES):
            result = self._rooms.executor.execute(job, signatures)
            if result.status is not RunStatus.BUSY:
                break
            self._pause(BUSY_PAUSE)
        return result

    def _let_wave_pass(self, host: str) -> None:
        """What runs on a host for one incident alone begins once no wave of an outbreak holds the host."""
        while self._store.in_wave(host):
            self._pause(BUSY_PAUSE)

    def _inspect(self, incident_id: str, decision: Decision) -> Facts:
        action = self._rooms.catalog.get(decision.action)
        if action is None:
            return Facts()
        return inspect(self._rooms.probe, self._host(incident_id), action, decision.parameters)

    def _verdict(self, incident_id: str, decision: Decision, facts: Facts, *, approved: bool) -> Verdict:
        incident, now = self._incident(incident_id), self._rooms.now()
        ageless = approved or incident.origin is Origin.TRIGGER
        return judge(
            Question(
                decision=decision,
                action=self._rooms.catalog.get(decision.action),
                host=self._rooms.fleet.host(incident.host),
                facts=facts,
                attempts=self._store.attempts(incident.host, now - ATTEMPT_WINDOW),
                signatures=self._store.signatures(incident_id),
                age_seconds=None if ageless else incident.age_at_detection,
                stopped=self._store.stopped(),
                now=now,
                approved=approved,
                fleet=fleet_state(self._store, self._rooms.fleet.hosts(), self._rooms.settings, now, incident_id),
            )
        )

    def escalate(self, incident_id: str, reason: str) -> None:
        """Tell a person; nothing further is done for this incident."""
        if self._move(incident_id, IncidentState.ESCALATED, reason):
            self._rooms.notifier.tell("incident.escalated", self._incident(incident_id), reason)

    def lapse(self, incident_id: str, reason: str) -> None:
        """Nobody answered: nothing was done, and the next error asks again."""
        if self._move(incident_id, IncidentState.EXPIRED, reason):
            self._rooms.notifier.tell("approval.lapsed", self._incident(incident_id), reason)

    def _move(self, incident_id: str, to: IncidentState, reason: str) -> bool:
        return self._store.move(incident_id, to, reason, expected=[s for s in UNDER_WAY if s is not to])

    def _note(self, incident_id: str, text: str) -> None:
        incident = self._incident(incident_id)
        self._store.append("healing.note", incident_id=incident_id, host=incident.host, text=text)

    def _incident(self, incident_id: str) -> Incident:
        incident = self._store.incident(incident_id)
        if incident is None:
            raise LookupError(f"no incident {incident_id}")
        return incident

    def _decision(self, incident_id: str) -> Decision:
        return self._store.decision(incident_id) or Decision(
            action=ESCALATE, parameters={}, reason="no decision was recorded", chooser="embedded"
        )

    def _action(self, incident_id: str) -> Action:
        return self._rooms.catalog.actions[self._decision(incident_id).action]

    def _host(self, incident_id: str) -> Host:
        return self._rooms.fleet.host(self._incident(incident_id).host)

    def _judged_digest(self, incident_id: str) -> str:
        """Of the bytes that the verdict was given for; the executor refuses others."""
        verdict = self._store.verdict(incident_id)
        return verdict.digest if verdict else ""

    def _digest(self, incident_id: str) -> str:
        decision = self._decision(incident_id)
        return self._rooms.executor.digest(self._action(incident_id), decision.parameters, (self._host(incident_id),))
