"""What models were asked, in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from orchestrator.domain.exchanges import Exchange, Usage
from orchestrator.errors import RecordError
from orchestrator.testing.runs import MemoryRuns


class MemoryExchanges(MemoryRuns):
    """The exchange part of ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._exchanges: list[tuple[str, Exchange]] = []

    def record_exchange(self, incident_id: str, exchange: Exchange) -> None:
        with self._lock:
            found = self._incidents.get(incident_id)
            if found is None:
                raise RecordError(f"There is no incident {incident_id}. Nothing was written.")
            self._exchanges.append((incident_id, exchange))
            text = f"{exchange.model} was asked: {exchange.error or 'answered'} after {exchange.seconds:.1f} s"
            self.append("model.asked", incident_id=incident_id, host=found.host, text=text)

    def exchanges(self, incident_id: str) -> tuple[Exchange, ...]:
        return tuple(exchange for of, exchange in tuple(self._exchanges) if of == incident_id)

    def model_usage(self, since: datetime) -> Usage:
        found = [exchange for _, exchange in tuple(self._exchanges) if exchange.at >= since]
        return Usage(
            calls=len(found),
            failed=sum(one.error != "" for one in found),
            tokens_in=sum(one.tokens_in or 0 for one in found),
            tokens_out=sum(one.tokens_out or 0 for one in found),
            cost=sum(one.cost or 0.0 for one in found),
        )
