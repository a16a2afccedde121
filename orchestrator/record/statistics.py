"""What is counted: attempts, and how long healings took."""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator.domain.incidents import FINAL, IncidentState, Origin
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.ports import NOT_ATTEMPTS, Statistics
from orchestrator.record.database import Records
from orchestrator.record.schema import INCIDENT, RUN


class CountRecords(Records):
    """Figures for history, statistics and metrics, straight from runs and incidents."""

    def statistics(self, *, injected: bool = False) -> Statistics:
        """See ports.Statistics: an attempt is pending until its incident has ended; verified is not healed yet."""
        query = (
            sa.select(INCIDENT.c.state, sa.func.count())
            .select_from(RUN.join(INCIDENT, RUN.c.incident_id == INCIDENT.c.id))
            .where(RUN.c.kind == RunKind.ACT.value, RUN.c.status.not_in(sorted(NOT_ATTEMPTS)))
            .group_by(INCIDENT.c.state)
        )
        if not injected:
            query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
        with self._database.read() as connection:
            counts = {IncidentState(state): number for state, number in connection.execute(query)}
        total = sum(counts.values())
        healed = counts.get(IncidentState.HEALED, 0)
        pending = sum(number for state, number in counts.items() if state not in FINAL)
        return Statistics(total_attempts=total, successful=healed, failed=total - healed - pending, pending=pending)

    def healing_seconds(self, *, injected: bool = False) -> tuple[float, ...]:
        """See ports.Store."""
        acted = sa.select(RUN.c.incident_id).where(
            RUN.c.kind == RunKind.ACT.value, RUN.c.status.not_in(sorted(NOT_ATTEMPTS))
        )
        ended = [state.value for state in FINAL]
        query = (
            sa.select(sa.func.min(RUN.c.started), sa.func.max(RUN.c.ended))
            .select_from(RUN.join(INCIDENT, RUN.c.incident_id == INCIDENT.c.id))
            .where(
                RUN.c.incident_id.in_(acted),
                INCIDENT.c.state.in_(ended),
                RUN.c.status != RunStatus.RUNNING.value,
            )
            .group_by(RUN.c.incident_id)
            .order_by(RUN.c.incident_id)
        )
        if not injected:
            query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
        with self._database.read() as connection:
            return tuple((end - begin).total_seconds() for begin, end in connection.execute(query))
