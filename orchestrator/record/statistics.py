"""What is counted: attempts, and how long healings took."""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator.domain.incidents import FINAL, IncidentState, Origin
from orchestrator.domain.runs import BEFORE_ASKING, RunKind, RunStatus
from orchestrator.ports import NOT_ATTEMPTS, Statistics
from orchestrator.record.database import Records
from orchestrator.record.parts import END, OWNER, PARTS
from orchestrator.record.schema import INCIDENT, OLD_ATTEMPT, RUN


class CountRecords(Records):
    """Figures for history, statistics and metrics: from runs and incidents, and from what is kept of pruned ones."""

    def statistics(self, *, injected: bool = False) -> Statistics:
        """See ports.Statistics: an attempt is pending until its incident has ended; verified is not healed yet."""
        query = (
            sa.select(INCIDENT.c.state, sa.func.count(sa.distinct(RUN.c.id + " " + OWNER)))
            .select_from(PARTS)
            .where(RUN.c.kind == RunKind.ACT.value, END.not_in(sorted(NOT_ATTEMPTS)))
            .group_by(INCIDENT.c.state)
        )
        if not injected:
            query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
        with self._database.read() as connection:
            counts = {IncidentState(state): number for state, number in connection.execute(query)}
            old = [healed for healed, _ in _old(connection, injected=injected)]
        total = sum(counts.values()) + len(old)
        healed = counts.get(IncidentState.HEALED, 0) + sum(old)
        pending = sum(number for state, number in counts.items() if state not in FINAL)
        return Statistics(total_attempts=total, successful=healed, failed=total - healed - pending, pending=pending)

    def healing_seconds(self, *, injected: bool = False) -> tuple[float, ...]:
        """See ports.Store."""
        acted = (
            sa.select(OWNER)
            .select_from(PARTS)
            .where(RUN.c.kind == RunKind.ACT.value, END.not_in(sorted(NOT_ATTEMPTS)))
            .correlate(None)
        )
        ended = [state.value for state in FINAL]
        query = (
            sa.select(sa.func.min(RUN.c.started), sa.func.max(RUN.c.ended))
            .select_from(PARTS)
            .where(
                INCIDENT.c.id.in_(acted),
                INCIDENT.c.state.in_(ended),
                RUN.c.status != RunStatus.RUNNING.value,
                RUN.c.kind.not_in(sorted(BEFORE_ASKING)),
            )
            .group_by(INCIDENT.c.id)
            .order_by(INCIDENT.c.id)
        )
        if not injected:
            query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
        with self._database.read() as connection:
            old = [seconds for _, seconds in _old(connection, injected=injected)]
            return (*old, *((end - begin).total_seconds() for begin, end in connection.execute(query)))


def _old(connection: sa.Connection, *, injected: bool) -> list[tuple[bool, float]]:
    """Of attempts whose records were pruned, oldest first: whether it healed, and the seconds that it took."""
    query = sa.select(OLD_ATTEMPT.c.healed, OLD_ATTEMPT.c.seconds).order_by(OLD_ATTEMPT.c.seq)
    if not injected:
        query = query.where(OLD_ATTEMPT.c.injected.is_(False))
    return [(healed, seconds) for healed, seconds in connection.execute(query)]
