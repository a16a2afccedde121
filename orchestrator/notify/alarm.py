"""One clear word when nothing can be recorded, and one when it can again: not one a try, nor one a healing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.notify.notifier import Notifier

#: Seconds without a failure after which the store counts as well again: small writes may pass while others fail.
QUIET = 10.0


class StoreAlarm:
    """Shared by all who write; safe between threads."""

    def __init__(self, notifier: Notifier, clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier, self._clock = notifier, clock
        self._lock = threading.Lock()
        #: When a write failed last, while the alarm is on.
        self._failed: float | None = None

    def failed(self, sentence: str) -> None:
        """A write failed; `sentence` is the error's own."""
        with self._lock:
            first, self._failed = self._failed is None, self._clock()
        if first:
            self._notifier.alarm(
                "store.down",
                f"Nothing acts for now, because it could not be recorded: {sentence} Healings wait, and go on by "
                "themselves.",
            )

    def wrote(self) -> None:
        """A write passed."""
        with self._lock:
            if self._failed is None or self._clock() - self._failed < QUIET:
                return
            self._failed = None
        self._notifier.alarm("store.back", "The store can be written again, and healings go on.")
