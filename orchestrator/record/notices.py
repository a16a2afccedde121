"""How far each channel to people has come in the ledger."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from orchestrator.domain.notices import Told
from orchestrator.record import rows
from orchestrator.record.database import Records
from orchestrator.record.schema import TOLD


class NoticeRecords(Records):
    """What was told, so that a restart neither loses nor repeats it."""

    def told(self, channel: str) -> Told | None:
        """See ports.Store."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(TOLD).where(TOLD.c.channel == channel)).mappings().first()
        if row is None:
            return None
        sent = tuple(datetime.fromisoformat(moment) for moment in row["sent"])
        return Told(**{**{name: row[name] for name in Told.__slots__}, "sent": sent})

    def record_told(self, told: Told) -> None:
        """In place of what was recorded before."""
        values = {
            "through": dict(told.through),
            "sent": [moment.isoformat() for moment in told.sent],
            "messages": told.messages,
            "failures": told.failures,
            "problem": rows.clean(told.problem),
            "at": told.at,
        }
        with self._database.write() as connection:
            if not connection.execute(TOLD.update().where(TOLD.c.channel == told.channel).values(values)).rowcount:
                connection.execute(TOLD.insert().values(channel=told.channel, **values))
