"""What rules over the fleet ask, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestrator.domain.fleet import FleetAttempt, Place
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.runs import Run, RunKind, RunStatus
from orchestrator.domain.verdicts import Outcome, Verdict
from orchestrator.fleet_port import BREAKER_RESET, SICK_STATES
from orchestrator.ports import NOT_ATTEMPTS
from orchestrator.testing.memory import MemoryPrecedents


class MemoryFleet(MemoryPrecedents):
    """The fleet part of ports.Store."""

    _verdicts: dict[str, Verdict]

    def places(self) -> tuple[Place, ...]:
        with self._lock:
            healing = [one for one in self._incidents.values() if one.state is IncidentState.HEALING]
            acts = {(self._incident_on(run, host), host) for run, host in self._acts()}
            return tuple(
                Place(
                    incident_id=one.id,
                    host=one.host,
                    action=self._decisions[one.id].action,
                    outcome=verdict.outcome,
                    admitted=verdict.outcome is Outcome.ALLOWED and verdict.digest != "",
                    acted=(one.id, one.host) in acts,
                )
                for one in sorted(healing, key=lambda one: one.id)
                if (verdict := self._verdicts.get(one.id)) is not None
                and one.id in self._decisions
                # Who waits for a wave is in no line: the wave asks for it.
                and not (verdict.outcome is Outcome.WAITS and one.id in self._members and self._members[one.id].waits)
            )

    def held_hosts(self) -> frozenset[str]:
        with self._lock:
            kinds = (RunKind.ACT, RunKind.ROLLBACK)
            return frozenset(host for host, run_id in self._held.items() if self._runs[run_id].kind in kinds)

    def fleet_attempts(self, since: datetime, *, newest: int) -> tuple[FleetAttempt, ...]:
        with self._lock:
            found = sorted(self._acts(), key=lambda one: (one[0].started, one[0].id, one[1]))
            recent = [one for one in found if one[0].started >= since]
            old = [one for one in found if one[0].started < since]
            kept = [*old[max(0, len(old) - max(0, newest - len(recent))) :], *recent]
            return tuple(self._fleet_attempt(run, host) for run, host in kept)

    def sick_hosts(self, since: datetime) -> frozenset[str]:
        with self._lock:
            return frozenset(
                one.host
                for one in self._incidents.values()
                if (one.state in SICK_STATES or (one.state is IncidentState.ESCALATED and one.last_seen >= since))
                and one.id in self._decisions
                and self._decisions[one.id].acts
            )

    def breaker_resets(self) -> Mapping[str, datetime]:
        with self._lock:
            return {str(one.data["action"]): one.at for one in self._events if one.kind == BREAKER_RESET}

    def _acts(self) -> list[tuple[Run, str]]:
        acts = [one for one in self._runs.values() if one.kind is RunKind.ACT]
        return [(run, host) for run in acts for host in run.hosts if run.on(host).status not in NOT_ATTEMPTS]

    def _incident_on(self, run: Run, host: str) -> str:
        """The incident that a run heals on a host: its own, or its outbreak's member there."""
        found = (one for one in self._members.values() if one.outbreak_id == run.incident_id and one.host == host)
        return next((one.incident_id for one in found), run.incident_id)

    def _fleet_attempt(self, run: Run, host: str) -> FleetAttempt:
        incident, end = self._incidents.get(self._incident_on(run, host)), run.on(host).status
        healed: bool | None = None
        if incident is not None:
            healed = incident.state is IncidentState.HEALED if incident.state in FINAL else None
        elif end is not RunStatus.RUNNING:
            healed = end is RunStatus.SUCCEEDED
        return FleetAttempt(host=host, action=run.action, at=run.started, ended=run.ended, healed=healed)
