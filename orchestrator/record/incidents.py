"""Incidents and their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from orchestrator.domain.ids import Cursor, IncidentId, Signature, id_at, new_incident_id
from orchestrator.domain.incidents import (
    ABSORBING,
    FLOOD,
    FLOOD_REASON,
    OPENED_MAX,
    SETTLED,
    UNDER_WAY,
    WORDINGS_MAX,
    Incident,
    IncidentState,
    Origin,
    Signal,
    Subject,
    hides,
)
from orchestrator.domain.records import LogRecord
from orchestrator.ports import EVIDENCE_KEPT, SIGNATURES_KEPT
from orchestrator.record import ledger, rows
from orchestrator.record.database import Records
from orchestrator.record.schema import CURSOR, EVIDENCE, INCIDENT, SIGNATURE


class IncidentRecords(Records):
    """What is or was sick."""

    def absorb(
        self,
        host: str,
        source: str,
        signals: Sequence[Signal],
        cursor: Cursor | None,
        *,
        origin: Origin = Origin.LOG,
        fresh_seconds: float = 0.0,
        asked_by: str = "",
    ) -> tuple[IncidentId, ...]:
        """See ports.Store."""
        if not signals and cursor is None:
            return ()
        groups: dict[Subject, list[Signal]] = {}
        for signal in signals:
            groups.setdefault(signal.subject, []).append(signal)
        opened: list[IncidentId] = []
        with self._database.write(last=True) as connection:
            for subject, group in groups.items():
                takers = _Takers(connection, host, subject)
                joining: dict[IncidentId, list[Signal]] = {}
                found: dict[IncidentId, rows.Row] = {}
                for signal in group:
                    row = takers.of(signal, fresh_seconds)
                    heir = None if row else _heir(connection, host, signal)
                    row = row or heir or self._of_flood(connection, host, signal, origin)
                    if row is None:
                        row = self._open(connection, host, signal, origin, asked_by)
                        opened.append(row["id"])
                    elif row["id"] not in takers.rows and row["count"] == 0:
                        opened.append(row["id"])
                    if heir is None:
                        takers.add(row)
                    found.setdefault(row["id"], row)
                    joining.setdefault(row["id"], []).append(signal)
                for incident_id, joined in joining.items():
                    _join(connection, found[incident_id], joined)
            if cursor is not None:
                _advance(connection, host, source, cursor)
        return tuple(opened)

    def _of_flood(self, connection: sa.Connection, host: str, signal: Signal, origin: Origin) -> rows.Row | None:
        """The host's flood, where it is in one and the signal is no exception; opened at the first need."""
        if origin is not Origin.LOG or signal.record.unit_failure:
            return None
        # Ids sort by the time of opening.
        oldest = id_at(self._clock() - timedelta(hours=1))
        lately = sa.select(sa.func.count()).where(INCIDENT.c.host == host, INCIDENT.c.id >= oldest)
        if connection.execute(lately).scalar_one() < OPENED_MAX:
            return None
        known = _Takers(connection, host, FLOOD).rows
        return next(iter(known.values()), None) or self._open(connection, host, replace(signal, subject=FLOOD), origin)

    def _open(
        self, connection: sa.Connection, host: str, first: Signal, origin: Origin, asked_by: str = ""
    ) -> rows.Row:
        now, flood = self._clock(), first.subject == FLOOD
        values: dict[str, Any] = {
            "id": new_incident_id(now),
            "host": host,
            "subject_kind": first.subject.kind.value,
            "subject_name": rows.clean(first.subject.name),
            "signature": first.signature,
            "template": rows.clean(first.template),
            "severity": int(first.severity),
            "state": (IncidentState.ESCALATED if flood else IncidentState.OPEN).value,
            "origin": origin.value,
            "first_seen": first.record.time,
            "last_seen": first.record.time,
            "count": 0,
            "age_at_detection": first.age,
            "reason": FLOOD_REASON if flood else "",
            "asked_by": rows.clean(asked_by),
        }
        connection.execute(INCIDENT.insert().values(values))
        ledger.write(
            connection,
            now,
            "incident.opened",
            incident_id=values["id"],
            host=host,
            text=f"{first.subject.name}: {first.record.message[:200]}",
            data={
                "subject": str(first.subject),
                "signature": first.signature,
                "severity": first.severity.name,
                "origin": origin.value,
                "age_seconds": first.age,
            },
        )
        return values

    def cursor(self, host: str, source: str) -> Cursor | None:
        """Where to read on; None: never read."""
        query = sa.select(CURSOR.c.cursor).where(CURSOR.c.host == host, CURSOR.c.source == source)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else Cursor(found)

    def incident(self, incident_id: str) -> Incident | None:
        """None: there is none of that id."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(INCIDENT).where(INCIDENT.c.id == incident_id)).mappings().first()
        return rows.incident(row) if row else None

    def incidents(
        self,
        *,
        host: str | None = None,
        states: Sequence[IncidentState] = (),
        limit: int = 100,
        injected: bool = True,
    ) -> tuple[Incident, ...]:
        """Newest first."""
        query = sa.select(INCIDENT).order_by(INCIDENT.c.seq.desc()).limit(limit)
        if host is not None:
            query = query.where(INCIDENT.c.host == host)
        if states:
            query = query.where(INCIDENT.c.state.in_([state.value for state in states]))
        if not injected:
            query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
        with self._database.read() as connection:
            return tuple(rows.incident(row) for row in connection.execute(query).mappings())

    def evidence(self, incident_id: str, limit: int = 50) -> tuple[LogRecord, ...]:
        """Oldest first; the newest `limit`."""
        query = sa.select(EVIDENCE).where(EVIDENCE.c.incident_id == incident_id)
        query = query.order_by(EVIDENCE.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            found = [rows.record(row) for row in connection.execute(query).mappings()]
        return tuple(reversed(found))

    def signatures(self, incident_id: str) -> frozenset[Signature]:
        """Every signature seen on it."""
        query = sa.select(SIGNATURE.c.signature).where(SIGNATURE.c.incident_id == incident_id)
        with self._database.read() as connection:
            return frozenset(Signature(name) for name in connection.execute(query).scalars())

    def move(
        self,
        incident_id: str,
        to: IncidentState,
        reason: str,
        *,
        expected: Sequence[IncidentState],
        actor: str = ledger.US,
    ) -> bool:
        """See ports.Store. False also where another incident has taken the subject meanwhile."""
        with self._database.write() as connection:
            return self._move(connection, incident_id, to, reason, expected, actor)

    def _move(
        self,
        connection: sa.Connection,
        incident_id: str,
        to: IncidentState,
        reason: str,
        expected: Sequence[IncidentState],
        actor: str = ledger.US,
    ) -> bool:
        row = connection.execute(sa.select(INCIDENT).where(INCIDENT.c.id == incident_id)).mappings().first()
        if row is None or row["state"] not in {state.value for state in expected}:
            return False
        try:
            with connection.begin_nested():
                connection.execute(
                    INCIDENT.update()
                    .where(INCIDENT.c.id == incident_id)
                    .values(state=to.value, reason=rows.clean(reason))
                )
        except exc.IntegrityError:
            return False
        ledger.write(
            connection,
            self._clock(),
            f"incident.{to.value}",
            incident_id=incident_id,
            host=row["host"],
            text=reason,
            actor=actor,
            data={"from": row["state"]},
        )
        return True

    def join(self, incident_id: str, into: str, reason: str) -> bool:
        """See ports.Store."""
        with self._database.write() as connection:
            query = sa.select(INCIDENT).where(INCIDENT.c.id == into, INCIDENT.c.state.in_(sorted(ABSORBING)))
            taker = connection.execute(query).mappings().first()
            given = connection.execute(sa.select(INCIDENT).where(INCIDENT.c.id == incident_id)).mappings().first()
            if taker is None or given is None or incident_id == into:
                return False
            if not self._move(connection, incident_id, IncidentState.JOINED, reason, sorted(UNDER_WAY)):
                return False
            _hand_over(connection, given, taker)
            return True

    def expire_quiet(self, before: datetime) -> int:
        """See ports.Store."""
        quiet = sorted(SETTLED)
        query = sa.select(INCIDENT.c.id).where(
            INCIDENT.c.state.in_([state.value for state in quiet]),
            INCIDENT.c.last_seen < before,
            # A client may report an old error: what was just answered is not quiet for that.
            INCIDENT.c.id < id_at(before),
        )
        with self._database.read() as connection:
            found = connection.execute(query).scalars().all()
        if not found:
            return 0
        with self._database.write() as connection:
            still = connection.execute(query).scalars().all()
            text = f"not seen since before {before:%Y-%m-%d %H:%M:%S} UTC"
            return sum(self._move(connection, one, IncidentState.EXPIRED, text, quiet) for one in still)


class _Takers:
    """The incidents of one subject that may take its signals."""

    def __init__(self, connection: sa.Connection, host: str, subject: Subject) -> None:
        query = sa.select(INCIDENT).where(
            INCIDENT.c.host == host,
            INCIDENT.c.subject_kind == subject.kind.value,
            INCIDENT.c.subject_name == rows.clean(subject.name),
            INCIDENT.c.state.in_(sorted(ABSORBING)),
        )
        self.rows: dict[str, rows.Row] = {row["id"]: row for row in connection.execute(query).mappings()}
        known = sa.select(SIGNATURE).where(SIGNATURE.c.incident_id.in_(list(self.rows)))
        self._known: dict[str, set[str]] = {one: set() for one in self.rows}
        for row in connection.execute(known).mappings():
            self._known[row["incident_id"]].add(row["signature"])

    def add(self, row: rows.Row) -> None:
        """One that was just opened."""
        self.rows.setdefault(row["id"], row)
        self._known.setdefault(row["id"], set())

    def of(self, signal: Signal, fresh_seconds: float) -> rows.Row | None:
        """Who takes the signal: who knows it (a healing first), else the healing, else who has seen too much."""
        going = [one for one, row in self.rows.items() if row["state"] in UNDER_WAY]
        settled = [
            one
            for one, row in self.rows.items()
            if one not in going and not hides(row["state"], row["age_at_detection"], signal, fresh_seconds)
        ]
        knowing = [one for one in (*going, *settled) if signal.signature in self._known[one]]
        full = [one for one in settled if len(self._known[one]) >= WORDINGS_MAX and not signal.record.unit_failure]
        for one in (*knowing, *going, *full):
            self._known[one].add(signal.signature)
            return self.rows[one]
        return None


def _heir(connection: sa.Connection, host: str, signal: Signal) -> rows.Row | None:
    """Who is under way and has taken the very same of this subject before, by joining: it need not be judged again."""

    def knowing(*states: IncidentState) -> sa.Select[Any]:
        query = sa.select(INCIDENT).join(SIGNATURE, SIGNATURE.c.incident_id == INCIDENT.c.id)
        return query.where(
            INCIDENT.c.host == host, INCIDENT.c.state.in_(sorted(states)), SIGNATURE.c.signature == signal.signature
        )

    going = connection.execute(knowing(*UNDER_WAY)).mappings().first()
    if going is None:
        return None
    of_subject = knowing(IncidentState.JOINED).where(
        INCIDENT.c.subject_kind == signal.subject.kind.value,
        INCIDENT.c.subject_name == rows.clean(signal.subject.name),
    )
    return going if connection.execute(of_subject.limit(1)).first() else None


def _hand_over(connection: sa.Connection, given: rows.Row, taker: rows.Row) -> None:
    """Count, times, signatures and evidence of one incident go to another."""
    connection.execute(
        INCIDENT.update()
        .where(INCIDENT.c.id == taker["id"])
        .values(
            count=taker["count"] + given["count"],
            first_seen=min(taker["first_seen"], given["first_seen"]),
            last_seen=max(taker["last_seen"], given["last_seen"]),
            severity=max(taker["severity"], given["severity"]),
            age_at_detection=min(taker["age_at_detection"], given["age_at_detection"]),
        )
    )
    query = sa.select(SIGNATURE.c.signature).where(SIGNATURE.c.incident_id == given["id"])
    _know(connection, taker["id"], list(connection.execute(query).scalars()))
    evidence = EVIDENCE.update().where(EVIDENCE.c.incident_id == given["id"])
    connection.execute(evidence.values(incident_id=taker["id"]))
    _prune(connection, taker["id"])


def _join(connection: sa.Connection, row: rows.Row, group: Sequence[Signal]) -> None:
    times = [signal.record.time for signal in group]
    connection.execute(
        INCIDENT.update()
        .where(INCIDENT.c.id == row["id"])
        .values(
            count=row["count"] + len(group),
            first_seen=min(row["first_seen"], *times),
            last_seen=max(row["last_seen"], *times),
            age_at_detection=min(row["age_at_detection"], *(signal.age for signal in group)),
            severity=max(row["severity"], *(int(signal.severity) for signal in group)),
        )
    )
    _know(connection, row["id"], [signal.signature for signal in group])
    _keep(connection, row["id"], [signal.record for signal in group])


def _know(connection: sa.Connection, incident_id: str, signatures: Sequence[str]) -> None:
    query = sa.select(SIGNATURE.c.signature).where(SIGNATURE.c.incident_id == incident_id)
    known = set(connection.execute(query).scalars())
    fresh = [name for name in dict.fromkeys(signatures) if name not in known]
    fresh = fresh[: max(0, SIGNATURES_KEPT - len(known))]
    if fresh:
        connection.execute(SIGNATURE.insert(), [{"incident_id": incident_id, "signature": name} for name in fresh])


def _keep(connection: sa.Connection, incident_id: str, records: Sequence[LogRecord]) -> None:
    """The first record and the newest ones; a flood is counted, not stored."""
    if len(records) > EVIDENCE_KEPT + 1:
        records = [records[0], *records[-EVIDENCE_KEPT:]]
    connection.execute(EVIDENCE.insert(), [rows.evidence(incident_id, record) for record in records])
    _prune(connection, incident_id)


def _prune(connection: sa.Connection, incident_id: str) -> None:
    of_it = EVIDENCE.c.incident_id == incident_id
    newest = sa.select(EVIDENCE.c.seq).where(of_it).order_by(EVIDENCE.c.seq.desc())
    oldest_kept = connection.execute(newest.offset(EVIDENCE_KEPT - 1).limit(1)).scalar()
    if oldest_kept is not None:
        first = connection.execute(sa.select(sa.func.min(EVIDENCE.c.seq)).where(of_it)).scalar_one()
        connection.execute(EVIDENCE.delete().where(of_it, EVIDENCE.c.seq > first, EVIDENCE.c.seq < oldest_kept))


def _advance(connection: sa.Connection, host: str, source: str, cursor: Cursor) -> None:
    at = (CURSOR.c.host == host) & (CURSOR.c.source == source)
    if not connection.execute(CURSOR.update().where(at).values(cursor=cursor)).rowcount:
        connection.execute(CURSOR.insert().values(host=host, source=source, cursor=cursor))
