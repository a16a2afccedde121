"""What one host may cost us: bounded lines, a bounded number of records, a bounded number of bytes a second.

Clocks are parameters. Reading slowly is enough against a flood of bytes: SSH's own window then stops the host.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.records import LogRecord

#: Bytes of one line that are kept; the rest of it is dropped.
LINE_LIMIT = 64 * 1024
#: Bytes a second that one stream may bring for long, and at once.
BYTES_A_SECOND = 1024 * 1024
BYTES_AT_ONCE = 4 * 1024 * 1024
#: Records a second of one unit, and of a host in all; a burst is this many seconds' worth.
RECORDS_OF_UNIT = 20.0
RECORDS_OF_HOST = 200.0
BURST_SECONDS = 10.0
#: Units whose rate is remembered; a hostile host could invent one a line.
UNITS_KEPT = 256


class Lines:
    """Bytes in, whole lines out; an endless line costs LINE_LIMIT."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        #: Lines that were cut.
        self.cut = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        *whole, rest = data.split(b"\n")
        lines = []
        for part in whole:
            if not self._skipping and len(self._rest) + len(part) <= LINE_LIMIT:
                lines.append(bytes(self._rest) + part)
            elif not self._skipping:
                self.cut += 1
            self._rest.clear()
            self._skipping = False
        if self._skipping:
            return lines
        self._rest += rest
        if len(self._rest) > LINE_LIMIT:
            self.cut += 1
            self._skipping = True
            self._rest.clear()
        return lines


@dataclass(kw_only=True, slots=True)
class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    rate: float
    burst: float
    now: Callable[[], float]
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self.burst, self.now()

    def _refill(self) -> None:
        now = self.now()
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now

    def take(self, amount: float = 1.0) -> bool:
        """Whether there was enough; only then is it taken."""
        self._refill()
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def spend(self, amount: float) -> float:
        """Take it in any case; the seconds to wait until the debt is paid."""
        self._refill()
        self._level -= amount
        return max(0.0, -self._level / self.rate)


class RecordLimit:
    """Lets records through at a bounded rate, so that one loud unit hides no other one."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._host = Bucket(rate=RECORDS_OF_HOST, burst=RECORDS_OF_HOST * BURST_SECONDS, now=now)
        self._units: OrderedDict[str, Bucket] = OrderedDict()
        #: Records dropped since the start.
        self.dropped = 0

    def pick(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those that are let through, in order. What PID 1 says of a failed unit always is, within the host's rate."""
        picked = [one for one in records if (one.unit_failure or self._unit(one.unit).take()) and self._host.take()]
        self.dropped += len(records) - len(picked)
        return picked

    def _unit(self, unit: str) -> Bucket:
        bucket = self._units.pop(unit, None)
        if bucket is None:
            bucket = Bucket(rate=RECORDS_OF_UNIT, burst=RECORDS_OF_UNIT * BURST_SECONDS, now=self._now)
        self._units[unit] = bucket
        if len(self._units) > UNITS_KEPT:
            self._units.popitem(last=False)
        return bucket
