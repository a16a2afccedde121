"""Outbreaks and their members: who waits, who is in which wave, and how each left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId, Signature
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.outbreaks import Member, MemberEnd, Outbreak, OutbreakState
from orchestrator.outbreak_port import UNCOUNTED, UNDECIDED
from orchestrator.record import ledger, parts, rows
from orchestrator.record.database import Records
from orchestrator.record.schema import INCIDENT, OUTBREAK, OUTBREAK_MEMBER, RUN, RUN_HOST, SIGNATURE

HEALING, STOPPED = OutbreakState.HEALING.value, OutbreakState.STOPPED.value


class OutbreakRecords(Records):
    """The outbreak part of ports.Store."""

    def outbreak_for(self, incident_id: str, *, hosts: int, since: datetime) -> Outbreak | None:
        """See ports.Store."""
        with self._database.write() as connection:
            incident = _incident(connection, incident_id)
            if incident is None:
                return None
            found = _of_signatures(connection, incident_id, since)
            if found is not None or _sick_hosts(connection, incident["signature"], since) < hosts:
                return found
            now, outbreak_id = self._clock(), ids.outbreak_id(IncidentId(incident_id))
            values = {"id": outbreak_id, "signature": incident["signature"], "template": incident["template"]}
            if _outbreak(connection, outbreak_id) is not None:
                return None
            connection.execute(
                OUTBREAK.insert().values(
                    **values, action="", parameters={}, state=HEALING, wave=0, reason="", opened_at=now
                )
            )
            text = f"the same error on {hosts} hosts or more: decided once, and healed in waves"
            ledger.write(connection, now, "outbreak.opened", incident_id=outbreak_id, text=text, data=values)
            return _outbreak(connection, outbreak_id)

    def join_outbreak(self, incident_id: str, decision: Decision) -> str:
        """See ports.Store."""
        with self._database.write() as connection:
            incident, member = _incident(connection, incident_id), _member(connection, incident_id)
            if member is not None:
                return member.outbreak_id if member.ending is None else ""
            found = _of_signatures(connection, incident_id, None)
            if incident is None or found is None or incident["state"] != IncidentState.PLANNING.value:
                return ""
            if found.action and (found.action, dict(found.parameters)) != (decision.action, dict(decision.parameters)):
                return ""
            if any(one.host == incident["host"] for one in _members(connection, found.id)):
                return ""
            chosen = {"action": decision.action, "parameters": dict(decision.parameters)}
            connection.execute(OUTBREAK.update().where(OUTBREAK.c.id == found.id).values(**chosen))
            connection.execute(
                OUTBREAK_MEMBER.insert().values(
                    incident_id=incident_id, outbreak_id=found.id, host=incident["host"], wave=0, ending="", reason=""
                )
            )
            text = f"{incident_id} waits for a wave of {found.id}"
            ledger.write(
                connection, self._clock(), "outbreak.joined", incident_id=found.id, host=incident["host"], text=text
            )
            return found.id

    def take_member(self, incident_id: str, wave: int) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            member, incident = _member(connection, incident_id), _incident(connection, incident_id)
            if member is None or incident is None or member.ending is not None:
                return False
            if member.wave:
                return member.wave == wave
            outbreak = _outbreak(connection, member.outbreak_id)
            if (
                outbreak is None
                or outbreak.state is not OutbreakState.HEALING
                or incident["state"] != IncidentState.HEALING.value
                or _busy(connection, member)
            ):
                return False
            connection.execute(
                OUTBREAK_MEMBER.update().where(OUTBREAK_MEMBER.c.incident_id == incident_id).values(wave=wave)
            )
            connection.execute(OUTBREAK.update().where(OUTBREAK.c.id == outbreak.id).values(wave=wave))
            return True

    def end_member(self, incident_id: str, ending: MemberEnd, reason: str) -> None:
        """See ports.Store."""
        with self._database.write() as connection:
            connection.execute(
                OUTBREAK_MEMBER.update()
                .where(OUTBREAK_MEMBER.c.incident_id == incident_id, OUTBREAK_MEMBER.c.ending == "")
                .values(ending=ending.value, reason=rows.clean(reason))
            )

    def end_outbreak(self, outbreak_id: str) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            outbreak = _outbreak(connection, outbreak_id)
            if outbreak is None or outbreak.state is not OutbreakState.HEALING:
                return True
            members = _members(connection, outbreak_id)
            if any(one.ending is None for one in members) or _undecided(connection, outbreak.signature):
                return False
            verified = sum(one.ending is MemberEnd.VERIFIED for one in members)
            state = OutbreakState.HEALED if verified else OutbreakState.OVER
            self._end(
                connection, outbreak_id, state, f"{verified} of {len(members)} members were acted on and verified"
            )
            return True

    def stop_outbreak(self, outbreak_id: str, reason: str) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            return self._end(connection, outbreak_id, OutbreakState.STOPPED, rows.clean(reason))

    def _end(self, connection: sa.Connection, outbreak_id: str, state: OutbreakState, reason: str) -> bool:
        now = self._clock()
        healing = (OUTBREAK.c.id == outbreak_id, OUTBREAK.c.state == HEALING)
        values = {"state": state.value, "reason": reason, "ended_at": now}
        if not connection.execute(OUTBREAK.update().where(*healing).values(**values)).rowcount:
            return False
        ledger.write(connection, now, f"outbreak.{state}", incident_id=outbreak_id, text=reason)
        return True

    def outbreak(self, outbreak_id: str) -> Outbreak | None:
        """None: there is none of that id."""
        with self._database.read() as connection:
            return _outbreak(connection, outbreak_id)

    def outbreaks(self, *, states: Sequence[OutbreakState] = (), limit: int = 100) -> tuple[Outbreak, ...]:
        """Newest first."""
        query = sa.select(OUTBREAK).order_by(OUTBREAK.c.seq.desc()).limit(limit)
        if states:
            query = query.where(OUTBREAK.c.state.in_([state.value for state in states]))
        with self._database.read() as connection:
            return tuple(as_outbreak(row) for row in connection.execute(query).mappings())

    def members(self, outbreak_id: str) -> tuple[Member, ...]:
        """See ports.Store."""
        with self._database.read() as connection:
            return _members(connection, outbreak_id)

    def membership(self, incident_id: str) -> Member | None:
        """See ports.Store."""
        with self._database.read() as connection:
            return _member(connection, incident_id)

    def in_wave(self, host: str) -> bool:
        """See ports.Store."""
        with self._database.read() as connection:
            return parts.in_a_wave(connection, [host], "")


def _incident(connection: sa.Connection, incident_id: str) -> rows.Row | None:
    return connection.execute(sa.select(INCIDENT).where(INCIDENT.c.id == incident_id)).mappings().first()


def _outbreak(connection: sa.Connection, outbreak_id: str) -> Outbreak | None:
    row = connection.execute(sa.select(OUTBREAK).where(OUTBREAK.c.id == outbreak_id)).mappings().first()
    return as_outbreak(row) if row else None


def _of_signatures(connection: sa.Connection, incident_id: str, since: datetime | None) -> Outbreak | None:
    """The outbreak under way of a signature of the incident; else the newest that was stopped at `since` or later."""
    known = sa.select(SIGNATURE.c.signature).where(SIGNATURE.c.incident_id == incident_id)
    states = [OUTBREAK.c.state == HEALING]
    if since is not None:
        states.append(sa.and_(OUTBREAK.c.state == STOPPED, OUTBREAK.c.ended_at >= since))
    query = (
        sa.select(OUTBREAK)
        .where(OUTBREAK.c.signature.in_(known), sa.or_(*states))
        .order_by((OUTBREAK.c.state == HEALING).desc(), OUTBREAK.c.seq.desc())
    )
    row = connection.execute(query.limit(1)).mappings().first()
    return as_outbreak(row) if row else None


def _sick_hosts(connection: sa.Connection, signature: str, since: datetime) -> int:
    """Hosts with an incident of the signature that was opened since, and belongs to no outbreak."""
    members = sa.select(OUTBREAK_MEMBER.c.incident_id)
    query = (
        sa.select(sa.func.count(sa.distinct(INCIDENT.c.host)))
        .join(SIGNATURE, SIGNATURE.c.incident_id == INCIDENT.c.id)
        .where(
            SIGNATURE.c.signature == signature,
            # Ids sort by the time of opening.
            INCIDENT.c.id >= ids.id_at(since),
            INCIDENT.c.origin == Origin.LOG.value,
            INCIDENT.c.state.not_in(sorted(UNCOUNTED)),
            INCIDENT.c.id.not_in(members),
        )
    )
    return int(connection.execute(query).scalar_one())


def _undecided(connection: sa.Connection, signature: str) -> bool:
    """Whether an incident of the signature may still join."""
    query = (
        sa.select(INCIDENT.c.id)
        .join(SIGNATURE, SIGNATURE.c.incident_id == INCIDENT.c.id)
        .where(
            SIGNATURE.c.signature == signature,
            INCIDENT.c.origin == Origin.LOG.value,
            INCIDENT.c.state.in_(sorted(UNDECIDED)),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def _busy(connection: sa.Connection, member: Member) -> bool:
    """Whether a run, another wave, or another healing that has begun to run holds the host."""
    run = sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.host == member.host, RUN_HOST.c.held)
    other = (
        sa.select(INCIDENT.c.id)
        .join(RUN, RUN.c.incident_id == INCIDENT.c.id)
        .where(INCIDENT.c.host == member.host, INCIDENT.c.state == IncidentState.HEALING.value)
    )
    return (
        connection.execute(run.limit(1)).first() is not None
        or connection.execute(other.limit(1)).first() is not None
        or parts.in_a_wave(connection, [member.host], member.outbreak_id)
    )


def _member(connection: sa.Connection, incident_id: str) -> Member | None:
    query = sa.select(OUTBREAK_MEMBER).where(OUTBREAK_MEMBER.c.incident_id == incident_id)
    row = connection.execute(query).mappings().first()
    return _as_member(row) if row else None


def _members(connection: sa.Connection, outbreak_id: str) -> tuple[Member, ...]:
    query = (
        sa.select(OUTBREAK_MEMBER)
        .where(OUTBREAK_MEMBER.c.outbreak_id == outbreak_id)
        .order_by(OUTBREAK_MEMBER.c.incident_id)
    )
    return tuple(_as_member(row) for row in connection.execute(query).mappings())


def as_outbreak(row: rows.Row) -> Outbreak:
    """As it is recorded."""
    values = {name: row[name] for name in Outbreak.__slots__}
    return Outbreak(**{**values, "signature": Signature(row["signature"]), "state": OutbreakState(row["state"])})


def _as_member(row: rows.Row) -> Member:
    return Member(
        incident_id=IncidentId(row["incident_id"]),
        outbreak_id=row["outbreak_id"],
        host=row["host"],
        wave=row["wave"],
        ending=MemberEnd(row["ending"]) if row["ending"] else None,
        reason=row["reason"],
    )
