"""`healer` whose runs see the clock that it sees: `python -m tests.chaos.shifted --config FILE serve`.

A machine's clock is one; but a run's process is given only what it needs of the environment, and libfaketime is told
by the environment.
"""

from __future__ import annotations

import sys

from orchestrator import settings
from orchestrator.cli.main import main as healer

CLOCK = (
    "LD_PRELOAD",
    "PYTHONPATH",
    "FAKETIME",
    "FAKETIME_SHARED",
    "FAKETIME_TIMESTAMP_FILE",
    "FAKETIME_CACHE_DURATION",
    "FAKETIME_DONT_FAKE_MONOTONIC",
    "FAKETIME_FORCE_MONOTONIC_FIX",
)

if __name__ == "__main__":
    setattr(settings, "_CHILD_KEYS", settings._CHILD_KEYS + CLOCK)  # noqa: B010  # nobody else may assign it
    sys.argv[0] = "healer"
    healer()
