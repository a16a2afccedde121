"""In-memory twins of the ports, for unit tests. One contract suite runs against each twin and its real part."""

from orchestrator.testing.rooms import (
    FakeChooser,
    FakeCollector,
    FakeExecutor,
    FakeFleet,
    FakeProbe,
    InlineEngine,
)
from orchestrator.testing.store import MemoryStore

__all__ = [
    "FakeChooser",
    "FakeCollector",
    "FakeExecutor",
    "FakeFleet",
    "FakeProbe",
    "InlineEngine",
    "MemoryStore",
]
