"""What a host's readers hand over to the sink: in order, bounded, each line once, and never lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime

from orchestrator.collect.echo import Echoes
from orchestrator.collect.limits import RECORDS_OF_HOST, RECORDS_OF_UNIT, RecordLimit
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Sink

#: Seconds after which a cursor moves on although no record mattered: a restart then reads less again.
_IDLE_CURSOR = 30.0


class Delivery:
    """One host's way to the sink. Safe from its several readers."""

    def __init__(self, host: Host, sink: Sink) -> None:
        self._host, self._sink = host, sink
        self._lock = threading.Lock()
        self._limit = RecordLimit(time.monotonic)
        self._echoes = Echoes()
        self._moved: dict[str, float] = {}
        self.last_record: datetime | None = None

    def restart(self) -> None:
        """Reading begins again at the stored cursors: what was remembered of lines told twice is void."""
        with self._lock:
            self._echoes = Echoes()

    def deliver(self, source: str, records: Sequence[LogRecord], cursor: Cursor | None, *, now: bool = False) -> None:
        """Hand over; after it returned the cursor is stored. Raises what the sink raises.

        `now`: store the cursor also where no record is left.
        """
        with self._lock:
            kept = self._limit.pick(self._echoes.without(records))
            waited = time.monotonic() - self._moved.get(source, 0.0)
            # What was told already or dropped is done with: read again, it would count as new.
            if not records and not now and (cursor is None or waited < _IDLE_CURSOR):
                return
            self._sink(self._host, source, kept, cursor)
            self._moved[source] = time.monotonic()
            if kept:
                newest = max(record.time for record in kept)
                self.last_record = max(newest, self.last_record or newest)

    def problems(self) -> tuple[str, ...]:
        """What was dropped, as a sentence."""
        if not self._limit.dropped:
            return ()
        return (
            f"dropped {self._limit.dropped} lines of {self._host.name}: it writes more than {RECORDS_OF_UNIT:g} errors "
            f"a second of one unit, or {RECORDS_OF_HOST:g} in all.",
        )
