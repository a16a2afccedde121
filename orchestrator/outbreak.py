"""How an outbreak begins: whose error it is, who decides for all, and who waits for a wave.

Part of each healing's plan; `waves.py` heals the members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from orchestrator.decide.memory import bound
from orchestrator.domain import ids
from orchestrator.domain.actions import ESCALATE, Candidate, Decision
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import Incident, IncidentState, Origin
from orchestrator.domain.outbreaks import Outbreak, OutbreakState
from orchestrator.outbreak_port import UNDECIDED
from orchestrator.ports import Case
from orchestrator.steps import Steps

#: Seconds between looks whether the first of an outbreak has decided, and how many: a model may take its time.
DECIDE_PAUSE, DECIDE_TRIES = 0.5, 120


class Gathering(Steps):
    """What a plan asks of outbreaks. A person's own wish, and an injected error, stand alone."""

    def _shared(self, case: Case) -> Decision | None:
        """What the outbreak of this error decided, where that is possible on this host; None: decide for yourself."""
        incident = self._incident(case.incident_id)
        outbreak = self._outbreak_of(incident)
        if outbreak is None:
            return None
        if outbreak.state is OutbreakState.STOPPED:
            return Decision(action=ESCALATE, parameters={}, reason=after_stop(outbreak), chooser="outbreak")
        decision = self._first_decision(ids.decider_of(outbreak.id), incident.id)
        if decision is None or not fits(decision, case.candidates):
            return None
        # Its own lines may be others than the decider's, and a person's word about them binds this host.
        said = (self._store.precedents(one).word for one in dict.fromkeys(case.signatures))
        shared = replace(decision, reason=f"decided once for outbreak {outbreak.id}: {decision.reason}")
        return bound(shared, [word for word in said if word])

    def _first_decision(self, decider: IncidentId, asker: IncidentId) -> Decision | None:
        for _ in range(DECIDE_TRIES if decider != asker else 0):
            decision, first = self._store.decision(decider), self._store.incident(decider)
            if decision is not None or first is None or first.state not in UNDECIDED:
                return decision
            self._pause(DECIDE_PAUSE)
        return None

    def _waits_for_wave(self, incident: Incident) -> bool:
        """Whether an incident that may be acted on is no healing of its own: it waits for a wave, or was escalated."""
        outbreak = self._outbreak_of(incident)
        if outbreak is None:
            return False
        if outbreak.state is OutbreakState.STOPPED:
            self.escalate(incident.id, f"nothing was done: {after_stop(outbreak)}")
            return True
        joined = self._store.join_outbreak(incident.id, self._decision(incident.id))
        if joined:
            self._move(incident.id, IncidentState.HEALING, f"allowed; waits for a wave of outbreak {joined}")
        return bool(joined)

    def _is_in_outbreak(self, incident_id: str) -> bool:
        """Whether it waits for a wave or is in one: nobody else acts on it."""
        member = self._store.membership(incident_id)
        return member is not None and member.ending is None

    def _outbreak_of(self, incident: Incident) -> Outbreak | None:
        if incident.origin is not Origin.LOG:
            return None
        settings = self._rooms.settings
        since = self._rooms.now() - timedelta(seconds=settings.outbreak_window_seconds)
        return self._store.outbreak_for(incident.id, hosts=settings.outbreak_hosts, since=since)


def fits(decision: Decision, offered: Sequence[Candidate]) -> bool:
    """Whether the evidence of an incident offers that very deed; to do nothing is always possible."""
    return not decision.acts or any(
        one.action == decision.action
        and decision.parameters.keys() <= one.values.keys()
        and all(value in one.values[name] for name, value in decision.parameters.items())
        for one in offered
    )


def after_stop(outbreak: Outbreak) -> str:
    """What a person is told of an incident that comes after its outbreak was stopped."""
    return f"outbreak {outbreak.id} of the same error was stopped ({outbreak.reason}); look at its hosts first"
