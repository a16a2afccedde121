"""When to stop asking a service that fails: pure but for its lock, with the clock given."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Closed: everybody may ask. After so many failures in a row open: nobody may, but for one probe a while.

    An answer closes it. A probe of which nothing is heard again holds up nobody: the next one is due a while later.
    """

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        """`failures` in a row open it; `seconds` between two probes; `clock`: seconds that never go back."""
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._failures = 0
        self._next_probe = 0.0
        self._lock = threading.Lock()

    @property
    def failures(self) -> int:
        """Since the last answer."""
        return self._failures

    @property
    def is_open(self) -> bool:
        """Whether it has failed too often since the last answer."""
        return self._failures >= self._limit

    def admits(self) -> bool:
        """Whether the caller may ask now; where it is open, the caller is the probe."""
        with self._lock:
            if not self.is_open:
                return True
            if self._clock() < self._next_probe:
                return False
            self._next_probe = self._clock() + self._seconds
            return True

    def answered(self) -> None:
        """The service gave an answer, whatever it said."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """It gave none."""
        with self._lock:
            self._failures += 1
            if self.is_open:
                self._next_probe = self._clock() + self._seconds
