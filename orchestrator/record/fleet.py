"""What rules over the whole fleet ask: who is in healing, what was tried, which hosts are sick."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.domain.actions import ESCALATE, NONE
from orchestrator.domain.fleet import FleetAttempt, Place
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.runs import RunKind, RunStatus
from orchestrator.domain.verdicts import Outcome
from orchestrator.fleet_port import BREAKER_RESET, SICK_STATES
from orchestrator.ports import NOT_ATTEMPTS
from orchestrator.record.database import Records
from orchestrator.record.parts import END
from orchestrator.record.schema import DECISION, EVENT, INCIDENT, OUTBREAK_MEMBER, RUN, RUN_HOST, VERDICT

_ACTED = sa.and_(RUN.c.kind == RunKind.ACT.value, END.not_in(sorted(NOT_ATTEMPTS)))
#: A run of a wave names its outbreak, and each host's own incident is a member of that.
_MEMBER = sa.and_(OUTBREAK_MEMBER.c.outbreak_id == RUN.c.incident_id, OUTBREAK_MEMBER.c.host == RUN_HOST.c.host)


class FleetRecords(Records):
    """Few queries, each over an index."""

    def places(self) -> tuple[Place, ...]:
        """See ports.Store."""
        own = sa.or_(
            RUN.c.incident_id == INCIDENT.c.id,
            RUN.c.incident_id.in_(
                sa.select(OUTBREAK_MEMBER.c.outbreak_id).where(OUTBREAK_MEMBER.c.incident_id == INCIDENT.c.id)
            ),
        )
        acted = (
            sa.select(RUN.c.id)
            .join(RUN_HOST, RUN_HOST.c.run_id == RUN.c.id)
            .where(own, RUN_HOST.c.host == INCIDENT.c.host, _ACTED)
            .exists()
        )
        # Who waits for a wave is in no line: the wave asks for it.
        for_wave = (
            sa.select(OUTBREAK_MEMBER.c.incident_id)
            .where(
                OUTBREAK_MEMBER.c.incident_id == INCIDENT.c.id,
                OUTBREAK_MEMBER.c.wave == 0,
                OUTBREAK_MEMBER.c.ending == "",
                VERDICT.c.outcome == Outcome.WAITS.value,
            )
            .exists()
        )
        query = (
            sa.select(
                INCIDENT.c.id,
                INCIDENT.c.host,
                DECISION.c.action,
                VERDICT.c.outcome,
                VERDICT.c.digest,
                acted.label("acted"),
            )
            .join(DECISION, DECISION.c.incident_id == INCIDENT.c.id)
            .join(VERDICT, VERDICT.c.incident_id == INCIDENT.c.id)
            .where(INCIDENT.c.state == IncidentState.HEALING.value, ~for_wave)
            .order_by(INCIDENT.c.id)
        )
        with self._database.read() as connection:
            return tuple(
                Place(
                    incident_id=row.id,
                    host=row.host,
                    action=row.action,
                    outcome=Outcome(row.outcome),
                    admitted=row.outcome == Outcome.ALLOWED.value and row.digest != "",
                    acted=bool(row.acted),
                )
                for row in connection.execute(query)
            )

    def held_hosts(self) -> frozenset[str]:
        """See ports.Store."""
        kinds = (RunKind.ACT.value, RunKind.ROLLBACK.value)
        query = (
            sa.select(RUN_HOST.c.host)
            .join(RUN, RUN.c.id == RUN_HOST.c.run_id)
            .where(sa.literal_column("run_host.held"), RUN.c.kind.in_(kinds))
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def fleet_attempts(self, since: datetime, *, newest: int) -> tuple[FleetAttempt, ...]:
        """See ports.Store."""
        whose = sa.func.coalesce(OUTBREAK_MEMBER.c.incident_id, RUN.c.incident_id)
        query = (
            sa.select(
                RUN_HOST.c.host,
                RUN.c.action,
                RUN.c.started,
                RUN.c.ended,
                END.label("end"),
                INCIDENT.c.state.label("state"),
            )
            .join(RUN_HOST, RUN_HOST.c.run_id == RUN.c.id)
            .outerjoin(OUTBREAK_MEMBER, _MEMBER)
            .outerjoin(INCIDENT, INCIDENT.c.id == whose)
            .where(_ACTED)
            .order_by(RUN.c.started.desc(), RUN.c.id.desc(), RUN_HOST.c.host.desc())
        )
        with self._database.read() as connection:
            recent = list(connection.execute(query.where(RUN.c.started >= since)))
            if len(recent) < newest:
                recent += connection.execute(query.where(RUN.c.started < since).limit(newest - len(recent))).all()
        return tuple(_attempt(row) for row in reversed(recent))

    def sick_hosts(self, since: datetime) -> frozenset[str]:
        """See ports.Store."""
        going_on = [state.value for state in SICK_STATES]
        query = (
            sa.select(INCIDENT.c.host)
            .join(DECISION, DECISION.c.incident_id == INCIDENT.c.id)
            .where(
                DECISION.c.action.not_in([ESCALATE, NONE]),
                INCIDENT.c.state.in_([*going_on, IncidentState.ESCALATED.value]),
                sa.or_(INCIDENT.c.state.in_(going_on), INCIDENT.c.last_seen >= since),
            )
            .distinct()
        )
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def breaker_resets(self) -> Mapping[str, datetime]:
        """See ports.Store."""
        query = sa.select(EVENT.c.at, EVENT.c.data).where(EVENT.c.kind == BREAKER_RESET).order_by(EVENT.c.seq)
        with self._database.read() as connection:
            return {str(data["action"]): at for at, data in connection.execute(query)}


def _attempt(row: Any) -> FleetAttempt:
    healed: bool | None = None
    if row.state is not None:
        state = IncidentState(row.state)
        healed = state is IncidentState.HEALED if state in FINAL else None
    elif row.end != RunStatus.RUNNING.value:
        # Its incident was pruned: the run's own end is what is left.
        healed = row.end == RunStatus.SUCCEEDED.value
    return FleetAttempt(host=row.host, action=row.action, at=row.started, ended=row.ended, healed=healed)
