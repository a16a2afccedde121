"""The ledger: every step as one line, written in the transaction of the step itself. And the kill switch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.ports import Event
from orchestrator.record import rows
from orchestrator.record.database import Records
from orchestrator.record.schema import EVENT, SWITCH, WORKER

US = "healing-bot"


def write(
    connection: sa.Connection,
    at: datetime,
    kind: str,
    *,
    text: str,
    incident_id: str = "",
    host: str = "",
    actor: str = US,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """One line in the caller's transaction: the step and its line stand together or not at all."""
    values = {
        "at": at,
        "kind": kind,
        "incident_id": incident_id,
        "host": host,
        "text": rows.clean(text),
        "actor": rows.clean(actor),
        "data": dict(data or {}),
    }
    seq = connection.execute(EVENT.insert().values(values)).inserted_primary_key
    return Event(seq=seq[0] if seq else 0, **values)  # type: ignore[arg-type]  # a dict of the columns


class LedgerRecords(Records):
    """Lines of the ledger, the kill switch, heartbeats."""

    def append(
        self,
        kind: str,
        *,
        incident_id: str = "",
        host: str = "",
        text: str,
        actor: str = US,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See ports.Store."""
        with self._database.write() as connection:
            return write(
                connection,
                self._clock(),
                kind,
                text=text,
                incident_id=incident_id,
                host=host,
                actor=actor,
                data=data,
            )

    def events(self, *, after: int = 0, incident_id: str | None = None, limit: int = 500) -> tuple[Event, ...]:
        """The first `limit` lines after a sequence number, in order."""
        query = sa.select(EVENT).where(EVENT.c.seq > after).order_by(EVENT.c.seq).limit(limit)
        if incident_id is not None:
            query = query.where(EVENT.c.incident_id == incident_id)
        with self._database.read() as connection:
            return tuple(rows.event(row) for row in connection.execute(query).mappings())

    def newest(self) -> int:
        """The sequence number of the last line."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.max(EVENT.c.seq))).scalar() or 0)

    def stop(self, *, actor: str, reason: str) -> None:
        """Nothing acts any more, on any host, until `resume`; survives restarts."""
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(SWITCH.delete())
            connection.execute(SWITCH.insert().values(id=1, actor=rows.clean(actor), reason=rows.clean(reason), at=now))
            write(connection, now, "switch.stopped", text=f"stopped by {actor}: {reason}", actor=actor)

    def resume(self, *, actor: str, reason: str) -> None:
        """Healing is allowed again; without effect where it was not stopped."""
        with self._database.write() as connection:
            if connection.execute(SWITCH.delete()).rowcount:
                write(connection, self._clock(), "switch.resumed", text=f"resumed by {actor}: {reason}", actor=actor)

    def stopped(self) -> str | None:
        """See ports.Store."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(SWITCH)).mappings().first()
        return (
            f"{row['actor']} stopped all healing at {row['at']:%Y-%m-%d %H:%M:%S} UTC: {row['reason']}" if row else None
        )

    def beat(self, worker: str) -> None:
        """A worker is alive now."""
        now = self._clock()
        with self._database.write() as connection:
            seen = connection.execute(WORKER.update().where(WORKER.c.name == worker).values(seen=now))
            if not seen.rowcount:
                connection.execute(WORKER.insert().values(name=worker, seen=now))

    def worker_seen(self) -> datetime | None:
        """See ports.Store."""
        with self._database.read() as connection:
            return connection.execute(sa.select(WORKER.c.seen).order_by(WORKER.c.seen.desc()).limit(1)).scalar()
