"""How a healing is let in, and where it waits when the fleet is busy.

What waits holds neither a thread nor its host's slot: its `apply` workflow has ended, its incident stays `healing`, and
its verdict says that it waits. The worker's sweep finds it there, after a crash too, and starts `apply` again under the
next id once it is its turn.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.fleet_state import fleet_state
from orchestrator.guard.fleet import turns
from orchestrator.steps import Steps

#: The ledger's line of each time that a healing was told to wait.
WAITS = "healing.waits"
#: More than any healing has.
EVENTS = 100_000


class Turns(Steps):
    """Letting in, one at a time, and whose turn it is."""

    def start_turns(self) -> None:
        """Start anew what waited and whose turn it is, oldest first; doing it twice is doing it once."""
        places = {one.incident_id: one for one in self._store.places()}
        if not any(one.outcome is Outcome.WAITS for one in places.values()):
            return
        rooms = self._rooms
        now = rooms.now()
        for incident_id in turns(fleet_state(self._store, rooms.fleet.hosts(), rooms.settings, now), now):
            if incident_id in places:
                rooms.engine.start("apply", self.apply_id(incident_id), incident_id, host=places[incident_id].host)

    def apply_id(self, incident_id: str) -> str:
        """The apply workflow that is its latest: one for each turn."""
        waited = sum(one.kind == WAITS for one in self._store.events(incident_id=incident_id, limit=EVENTS))
        return ids.apply_id(IncidentId(incident_id), waited + 1)

    def _admit(self, incident_id: str, decision: Decision, facts: Facts, digest: str, *, approved: bool) -> Verdict:
        """The verdict right before acting; one that lets it in is on record before the next one is judged.

        A lock of this process is enough: one worker works on a store.
        """
        with self._rooms.admission:
            verdict = self._verdict(incident_id, decision, facts, approved=approved)
            if verdict.outcome is Outcome.ALLOWED:
                verdict = replace(verdict, digest=digest)
            if verdict.outcome is not Outcome.WAITS:
                self._store.record_verdict(incident_id, verdict, facts)
            return verdict

    def _wait_turn(self, incident_id: str, verdict: Verdict, facts: Facts) -> None:
        """Put it in line; nothing of it runs until the sweep finds that it is its turn."""
        # The line first: the next turn needs an id of its own.
        self._store.append(WAITS, incident_id=incident_id, host=self._incident(incident_id).host, text=verdict.reason)
        self._move(incident_id, IncidentState.HEALING, verdict.reason)
        self._store.record_verdict(incident_id, verdict, facts)
