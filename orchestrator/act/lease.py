"""Whether a run's process may go on: it renews the lease of its run, and ends its playbook before that lapses.

And the other side: whether a lease that somebody else holds has lapsed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from orchestrator.errors import HealingError
from orchestrator.settings import KILLING

#: Seconds between two tries after one that failed.
AGAIN = 1.0


class Renewal:
    """Renews in a thread of its own, so that a store that stalls delays no look at limits and cancel."""

    def __init__(
        self,
        renew: Callable[[], bool],
        lease: float,
        every: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`renew` answers False where the run is over for everybody else, and raises HealingError where it can't ask.
        `lease` and `every` are in seconds.
        """
        self._renew, self._lease, self._every, self._clock = renew, lease, every, clock
        self._until = math.inf
        self._revoked = False
        self._problem = ""
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """The lease was taken right before this, by whoever started us."""
        self._until = self._clock() + self._lease

    def lost(self) -> str:
        """Why the playbook must end now, in one sentence; empty while all is well.

        Starts the thread at the first renewal: the playbook's process is forked by then, from a process of one thread.
        """
        now = self._clock()
        if self._revoked:
            return "somebody else has ended the run in the store"
        if now > self._until - KILLING:
            return f"its lease can't be renewed ({self._problem or 'the store gives no answer'})"
        if self._thread is None and now > self._until - self._lease + self._every:
            self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
            self._thread.start()
        return ""

    def _keep(self) -> None:
        while not self._revoked:
            asked = self._clock()
            try:
                if self._renew():
                    self._until, self._problem = asked + self._lease, ""
                else:
                    self._revoked = True
            except HealingError as error:
                self._problem = str(error)
            time.sleep(AGAIN if self._problem else self._every)


class Lapses:
    """Tells lapsed leases by our own steady clock: one that is set meanwhile, here or at the database, proves nothing.

    A lease has lapsed that nobody renewed for its whole time while we looked on.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease, self._clock = lease, clock
        self._seen: dict[str, tuple[float, float]] = {}

    def lapsed(self, run_id: str, until: float | None) -> bool:
        """`until`: as it stands in the run's row now."""
        now = self._clock()
        if until is None or (seen := self._seen.get(run_id)) is None or seen[0] != until:
            self._seen[run_id] = (until or 0.0, now)
            return False
        return now - seen[1] > self._lease

    def forget(self, run_id: str) -> None:
        """The run is over."""
        self._seen.pop(run_id, None)
