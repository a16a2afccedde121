"""What is counted for people: by day, by action, by signature; and what health is made of."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from orchestrator.domain.health import STANDING, Trouble
from orchestrator.domain.incidents import FINAL, IncidentState, Origin
from orchestrator.domain.runs import RunKind
from orchestrator.ports import NOT_ATTEMPTS, Ended
from orchestrator.record.database import Records
from orchestrator.record.parts import END, OWNER, PARTS
from orchestrator.record.schema import INCIDENT, RUN, RUN_HOST

#: Healings of which times are told, and troubles that health is made of: the newest.
ENDED_MAX, TROUBLES_MAX = 2000, 20_000
#: On one host of a run: each member of a wave was acted on.
_ACTED = sa.and_(RUN.c.kind == RunKind.ACT.value, END.not_in(sorted(NOT_ATTEMPTS)))
_OVER = INCIDENT.c.state.in_(sorted(FINAL))
_REAL = INCIDENT.c.origin != Origin.INJECTED.value


class ChartRecords(Records):
    """Figures over a span; injected errors are left out."""

    def acts_by_day(self, since: datetime) -> tuple[tuple[str, str, IncidentState, int], ...]:
        """Day (UTC, ISO 8601), action, where their incidents stand now, and how many; oldest first."""
        day = sa.func.substr(sa.cast(RUN.c.started, sa.Text), 1, 10).label("day")
        query = (
            sa.select(day, RUN.c.action, INCIDENT.c.state, sa.func.count())
            .select_from(PARTS)
            .where(_ACTED, _REAL, RUN.c.started >= since)
            .group_by(day, RUN.c.action, INCIDENT.c.state)
            .order_by(day)
        )
        with self._database.read() as connection:
            return tuple((one, action, IncidentState(state), n) for one, action, state, n in connection.execute(query))

    def acts_by_host(self) -> tuple[tuple[str, str, IncidentState, int], ...]:
        """Host, action, where their incidents stand now, and how many: of all that is on record."""
        query = (
            sa.select(RUN_HOST.c.host, RUN.c.action, INCIDENT.c.state, sa.func.count())
            .select_from(PARTS)
            .where(_ACTED, _REAL)
            .group_by(RUN_HOST.c.host, RUN.c.action, INCIDENT.c.state)
        )
        with self._database.read() as connection:
            return tuple(
                (host, action, IncidentState(state), n) for host, action, state, n in connection.execute(query)
            )

    def standing(self) -> dict[IncidentState, int]:
        """How many incidents stand in each state that is under way or waits for a person."""
        query = (
            sa.select(INCIDENT.c.state, sa.func.count())
            .where(INCIDENT.c.state.in_([state.value for state in STANDING]))
            .group_by(INCIDENT.c.state)
        )
        with self._database.read() as connection:
            return {IncidentState(state): number for state, number in connection.execute(query)}

    def ended_acts(self, since: datetime) -> tuple[Ended, ...]:
        """The newest ENDED_MAX healings that acted and are over, newest first."""
        acts = (
            sa.select(
                OWNER.label("incident_id"), RUN.c.incident_id.label("whose"), RUN.c.action, RUN.c.started, RUN.c.ended
            )
            .select_from(PARTS)
            .where(_ACTED, _REAL, _OVER, RUN.c.started >= since, RUN.c.ended.is_not(None))
            .order_by(RUN.c.started.desc())
            .limit(ENDED_MAX)
            .subquery()
        )
        # Of a wave, the runs that its host was in; a rollback is its incident's own.
        last = (
            sa.select(sa.func.max(RUN.c.ended))
            .select_from(RUN.join(RUN_HOST, RUN_HOST.c.run_id == RUN.c.id))
            # Not by the index of hosts: one host has had many runs, an incident a few.
            .where(
                RUN_HOST.c.host.concat("") == INCIDENT.c.host, RUN.c.incident_id.in_([acts.c.incident_id, acts.c.whose])
            )
            .correlate(acts, INCIDENT)
            .scalar_subquery()
        )
        query = (
            sa.select(
                acts,
                sa.func.coalesce(last, acts.c.ended).label("over"),
                INCIDENT.c.state,
                INCIDENT.c.host,
                INCIDENT.c.subject_name,
            )
            .select_from(acts.join(INCIDENT, acts.c.incident_id == INCIDENT.c.id))
            .order_by(acts.c.started.desc())
        )
        with self._database.read() as connection:
            return tuple(
                Ended(
                    incident_id=row["incident_id"],
                    action=row["action"],
                    host=row["host"],
                    subject=row["subject_name"],
                    state=IncidentState(row["state"]),
                    started=row["started"],
                    seconds=(row["over"] - row["started"]).total_seconds(),
                )
                for row in connection.execute(query).mappings()
            )

    def common_templates(self, since: datetime, limit: int = 10) -> tuple[tuple[str, int], ...]:
        """Lines that opened the most incidents, with what varies masked out, and how many."""
        number = sa.func.count()
        query = (
            sa.select(INCIDENT.c.template, number)
            .where(_REAL, INCIDENT.c.first_seen >= since)
            .group_by(INCIDENT.c.template)
            .order_by(number.desc(), INCIDENT.c.template)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple((template, found) for template, found in connection.execute(query))

    def troubles(self, since: datetime, host: str | None = None) -> tuple[Trouble, ...]:
        """What stands now, and what was last seen since then; of one host, or of all."""
        standing = INCIDENT.c.state.in_([state.value for state in STANDING])
        columns = (INCIDENT.c.host, INCIDENT.c.subject_name, INCIDENT.c.state, INCIDENT.c.last_seen)
        recent = sa.select(*columns).where(_REAL, INCIDENT.c.last_seen >= since).order_by(INCIDENT.c.seq.desc())
        found = (sa.select(*columns).where(_REAL, standing), recent.where(~standing))
        queries = found if host is None else tuple(query.where(INCIDENT.c.host == host) for query in found)
        with self._database.read() as connection:
            return tuple(
                Trouble(host=host, subject=subject, state=IncidentState(state), last_seen=seen)
                for query in queries
                for host, subject, state, seen in connection.execute(query.limit(TROUBLES_MAX))
            )
