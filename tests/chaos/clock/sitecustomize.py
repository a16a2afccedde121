"""Put before every Python program that runs under libfaketime: lets it sleep.

Python sleeps until a moment of the steady clock, and libfaketime 0.9.10 (Debian 12, 13) shifts such a moment although
it is told to leave that clock alone: the kernel then refuses it (EINVAL). It leaves select(2) as it is.
"""

import select
import time


def sleep(seconds: float, /) -> None:
    """As time.sleep. Raises ValueError below 0."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        select.select([], [], [], left)


setattr(time, "sleep", sleep)  # noqa: B010  # nobody else may assign it
