"""The store: ports.Store over SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.record.access import AccessRecords
from orchestrator.record.charts import ChartRecords
from orchestrator.record.database import connect, path_of, utc_now
from orchestrator.record.decisions import DecisionRecords
from orchestrator.record.exchanges import ExchangeRecords
from orchestrator.record.fleet import FleetRecords
from orchestrator.record.incidents import IncidentRecords
from orchestrator.record.ledger import LedgerRecords
from orchestrator.record.memory import MemoryRecords
from orchestrator.record.notices import NoticeRecords
from orchestrator.record.outbreaks import OutbreakRecords
from orchestrator.record.reading import ReadingRecords
from orchestrator.record.retention import RetentionRecords
from orchestrator.record.runs import RunRecords
from orchestrator.record.statistics import CountRecords
from orchestrator.record.steps import StepRecords


class SqlStore(
    IncidentRecords,
    DecisionRecords,
    MemoryRecords,
    ExchangeRecords,
    RunRecords,
    OutbreakRecords,
    FleetRecords,
    LedgerRecords,
    CountRecords,
    RetentionRecords,
    AccessRecords,
    StepRecords,
    NoticeRecords,
    ReadingRecords,
    ChartRecords,
):
    """Implements ports.Store and ports.Reader; safe to share between threads, and its file between processes."""

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()


def lock_of(url: str) -> Path:
    """The file whose lock the one worker on this store holds: beside the store's own. Raises ConfigError.

    Links lead to the same file, so that two names of one store are one store.
    """
    store = path_of(url).resolve()
    return store.with_name(f"{store.name}.lock")


def open_store(url: str, *, workers: Sequence[Path] = (), clock: Callable[[], datetime] = utc_now) -> SqlStore:
    """Open, and make where there is none, the store at a SQLAlchemy URL such as sqlite:////path/healer.sqlite.

    One of an older version is upgraded first. `workers`: the locks of workers that may be at work on it; while one is
    held it is not. Raises ConfigError (that; not SQLite, a network file system, something else's file, a newer
    version: nothing is touched), StoreUnavailable, RecordError.
    """
    return SqlStore(connect(url, workers), clock)
