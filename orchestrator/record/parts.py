"""What a run was for each of its incidents: a run of a wave is one of every member whose host it had."""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator.record.schema import INCIDENT, OUTBREAK_MEMBER, RUN, RUN_HOST

#: How a run ended on a host: told apart only where there are several.
END = sa.func.coalesce(sa.func.nullif(RUN_HOST.c.status, ""), RUN.c.status)
#: The incident that a host of a run belongs to.
OWNER = sa.func.coalesce(OUTBREAK_MEMBER.c.incident_id, RUN.c.incident_id)
_MEMBER = sa.and_(OUTBREAK_MEMBER.c.outbreak_id == RUN.c.incident_id, OUTBREAK_MEMBER.c.host == RUN_HOST.c.host)
#: Each run with each of its hosts and incidents.
PARTS = (
    RUN.join(RUN_HOST, RUN_HOST.c.run_id == RUN.c.id)
    .outerjoin(OUTBREAK_MEMBER, _MEMBER)
    .join(INCIDENT, INCIDENT.c.id == OWNER)
)


def of_incident(connection: sa.Connection, incident_id: str) -> tuple[sa.ColumnElement[bool], str]:
    """The condition for the runs of an incident, its own and those of its wave; and its host there, '' without."""
    own = RUN.c.incident_id == incident_id
    query = sa.select(OUTBREAK_MEMBER.c.outbreak_id, OUTBREAK_MEMBER.c.host).where(
        OUTBREAK_MEMBER.c.incident_id == incident_id, OUTBREAK_MEMBER.c.wave > 0
    )
    member = connection.execute(query).first()
    if member is None:
        return own, ""
    there = sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.host == member.host)
    return sa.or_(own, sa.and_(RUN.c.incident_id == member.outbreak_id, RUN.c.id.in_(there))), member.host


def in_a_wave(connection: sa.Connection, hosts: list[str], but: str) -> bool:
    """Whether a wave of an outbreak other than `but` holds one of the hosts."""
    query = sa.select(OUTBREAK_MEMBER.c.incident_id).where(
        OUTBREAK_MEMBER.c.host.in_(hosts),
        OUTBREAK_MEMBER.c.wave > 0,
        OUTBREAK_MEMBER.c.ending == "",
        OUTBREAK_MEMBER.c.outbreak_id != but,
    )
    return connection.execute(query).first() is not None
