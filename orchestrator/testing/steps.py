"""Next steps in memory."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import Incident
from orchestrator.domain.records import LogRecord
from orchestrator.testing.memory import MemoryPrecedents


class MemorySteps(MemoryPrecedents):
    """The part of ports.Store that goes on with an incident."""

    def open_step(self, incident: Incident, decision: Decision, evidence: Sequence[LogRecord]) -> bool:
        with self._lock:
            if incident.id in self._incidents:
                return True
            if self._taken(incident, incident.state):
                return False
            self._incidents[incident.id] = incident
            self._opened[incident.id] = self._clock()
            self._signatures[incident.id], self._evidence[incident.id] = [incident.signature], list(evidence)
            self._decisions[incident.id] = decision
            host = incident.host
            text = f"goes on as {incident.id}: {decision.action}"
            self.append("incident.followed", incident_id=incident.follows, host=host, text=text)
            self.append("incident.opened", incident_id=incident.id, host=host, text=incident.reason)
            self.append("decision.made", incident_id=incident.id, host=host, text=decision.reason)
        return True
