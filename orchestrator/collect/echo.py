"""The same line in the journal and in a log file is one record."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.collect.filelines import essence
from orchestrator.domain.records import LogRecord

#: How far apart journal and file may say the same.
WINDOW = timedelta(seconds=10)
#: Lines that are remembered.
KEPT = 2048


@dataclass(slots=True)
class _Said:
    at: datetime
    counts: dict[str, int] = field(default_factory=dict)


class Echoes:
    """Remembers who said what; a line that a service repeats is kept as often as the louder source has it."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], _Said] = OrderedDict()

    def without(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those that no other source has told already, in order."""
        return [record for record in records if not self._told(record)]

    def _told(self, record: LogRecord) -> bool:
        key = (record.unit.removesuffix(".service"), essence(record.message))
        said = self._said.pop(key, None)
        if said is None or abs(record.time - said.at) > WINDOW:
            said = _Said(record.time)
        self._said[key] = said
        if len(self._said) > KEPT:
            self._said.popitem(last=False)
        mine = said.counts[record.source] = said.counts.get(record.source, 0) + 1
        return any(mine <= count for source, count in said.counts.items() if source != record.source)
