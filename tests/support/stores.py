"""The real store and its in-memory twin, for tests of what both promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from orchestrator.ports import Store
from orchestrator.record.database import utc_now
from orchestrator.record.store import open_store
from orchestrator.testing import MemoryStore

KINDS = ("sqlite", "memory")


def one_of(kind: str, folder: Path, clock: Callable[[], datetime] = utc_now) -> Iterator[Store]:
    """An empty one of KINDS; closed behind the test."""
    if kind == "memory":
        yield MemoryStore(clock=clock)
        return
    real = open_store(f"sqlite:///{folder / 'healer.sqlite'}", clock=clock)
    yield real
    real.close()
