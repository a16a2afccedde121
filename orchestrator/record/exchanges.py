"""What models were asked and answered: texts packed, known by their digests, and a line of the ledger for each."""

from __future__ import annotations

import zlib
from datetime import datetime

import sqlalchemy as sa

from orchestrator.domain.exchanges import Exchange, Usage, digest
from orchestrator.errors import RecordError
from orchestrator.record import ledger
from orchestrator.record.database import Records
from orchestrator.record.rows import Row
from orchestrator.record.schema import EXCHANGE, INCIDENT


class ExchangeRecords(Records):
    """Exchanges of an incident, in the order in which they ended; they go with it."""

    def record_exchange(self, incident_id: str, exchange: Exchange) -> None:
        """Raises RecordError for an unknown incident."""
        told = {
            "model": exchange.model,
            "prompt_version": exchange.prompt_version,
            "shown_digest": exchange.shown_digest,
            "reply_digest": exchange.reply_digest,
            "tokens_in": exchange.tokens_in,
            "tokens_out": exchange.tokens_out,
            "cost": exchange.cost,
            "seconds": exchange.seconds,
            "error": exchange.error,
        }
        with self._database.write() as connection:
            connection.execute(
                EXCHANGE.insert().values(
                    incident_id=incident_id,
                    at=exchange.at,
                    shown=_packed(exchange.shown),
                    reply=_packed(exchange.reply),
                    **told,
                )
            )
            host = connection.execute(sa.select(INCIDENT.c.host).where(INCIDENT.c.id == incident_id)).scalar()
            ledger.write(
                connection,
                self._clock(),
                "model.asked",
                incident_id=incident_id,
                host=host or "",
                text=f"{exchange.model} was asked: {exchange.error or 'answered'} after {exchange.seconds:.1f} s",
                data=told,
            )

    def exchanges(self, incident_id: str) -> tuple[Exchange, ...]:
        """Oldest first. Raises RecordError where a text is not the one that was recorded."""
        query = sa.select(EXCHANGE).where(EXCHANGE.c.incident_id == incident_id).order_by(EXCHANGE.c.seq)
        with self._database.read() as connection:
            return tuple(_exchange(row) for row in connection.execute(query).mappings())

    def model_usage(self, since: datetime) -> Usage:
        """What requests from then on came to."""
        columns = EXCHANGE.c
        query = sa.select(
            sa.func.count(),
            sa.func.count(sa.case((columns.error != "", 1))),
            *(sa.func.coalesce(sa.func.sum(one), 0) for one in (columns.tokens_in, columns.tokens_out, columns.cost)),
        ).where(columns.at >= since)
        with self._database.read() as connection:
            calls, failed, tokens_in, tokens_out, cost = connection.execute(query).one()
        return Usage(calls=calls, failed=failed, tokens_in=tokens_in, tokens_out=tokens_out, cost=float(cost))


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8")) if text else b""


def _text(row: Row, name: str) -> str:
    packed: bytes = row[name]
    try:
        text = zlib.decompress(packed).decode("utf-8") if packed else ""
    except (zlib.error, UnicodeDecodeError):
        text = None
    if text is None or (digest(text) if text else "") != row[f"{name}_digest"]:
        raise RecordError(
            f"What exchange {row['seq']} of {row['incident_id']} keeps as {name} is not what was recorded: its digest "
            "differs. Somebody changed the store; compare it with a backup."
        )
    return text


def _exchange(row: Row) -> Exchange:
    same = ("at", "model", "prompt_version", "tokens_in", "tokens_out", "cost", "seconds", "error")
    return Exchange(shown=_text(row, "shown"), reply=_text(row, "reply"), **{name: row[name] for name in same})
