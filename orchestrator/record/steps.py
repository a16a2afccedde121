"""The next step of a healing: an incident that goes on with another."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import exc

from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import Incident
from orchestrator.domain.records import LogRecord
from orchestrator.record import ledger, rows
from orchestrator.record.database import Records
from orchestrator.record.schema import DECISION, EVIDENCE, INCIDENT, SIGNATURE


class StepRecords(Records):
    """Incidents that no line opened."""

    def open_step(self, incident: Incident, decision: Decision, evidence: Sequence[LogRecord]) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            if connection.execute(sa.select(INCIDENT.c.id).where(INCIDENT.c.id == incident.id)).first():
                return True
            try:
                with connection.begin_nested():
                    connection.execute(INCIDENT.insert().values(rows.of_incident(incident)))
            except exc.IntegrityError:
                return False
            connection.execute(SIGNATURE.insert().values(incident_id=incident.id, signature=incident.signature))
            if evidence:
                connection.execute(EVIDENCE.insert(), [rows.evidence(incident.id, record) for record in evidence])
            connection.execute(DECISION.insert().values(incident_id=incident.id, **rows.of_decision(decision)))
            self._lines(connection, incident, decision)
        return True

    def _lines(self, connection: sa.Connection, incident: Incident, decision: Decision) -> None:
        of_it = {"follows": incident.follows, "step": incident.step}
        chosen = rows.of_decision(decision)
        for kind, of, text, data in (
            ("incident.followed", incident.follows, f"goes on as {incident.id}: {decision.action}", of_it),
            ("incident.opened", incident.id, f"{incident.subject.name}: {incident.reason}", of_it),
            ("decision.made", incident.id, f"{decision.chooser} chose {decision.action}: {decision.reason}", chosen),
        ):
            ledger.write(connection, self._clock(), kind, incident_id=of, host=incident.host, text=text, data=data)
