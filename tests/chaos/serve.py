"""`healer serve` that dies at a boundary: `python -m tests.chaos.serve ARMED PASSED --config FILE serve`.

Everything in it is the product's own; see boundaries.py for what is put around its parts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator import settings
from orchestrator.cli.main import main as healer
from tests.chaos.boundaries import Boundaries, install

#: A machine's clock is one: what is told to the orchestrator of the time is told to its runs too.
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


def main() -> None:
    """Ends as `healer` does, or by SIGKILL."""
    armed, passed, *arguments = sys.argv[1:]
    setattr(settings, "_CHILD_KEYS", settings._CHILD_KEYS + CLOCK)  # noqa: B010  # nobody else may assign it
    install(Boundaries(Path(armed), Path(passed)).at)
    sys.argv = ["healer", *arguments]
    healer()


if __name__ == "__main__":
    main()
