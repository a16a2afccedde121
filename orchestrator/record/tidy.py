"""Retention, once an hour: what goes, in which order, and how gently.

Artifacts before rows: removing files needs no room, so a full disk is a reason to go on. Days end at midnight UTC,
so that a day's records go together, with one line of the ledger and not one an hour. Between two transactions there
is a pause in which others write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.domain.ids import id_at
from orchestrator.errors import Interrupted, StoreUnavailable
from orchestrator.record import artifacts
from orchestrator.record.retention import RetentionRecords
from orchestrator.record.shelf import Shelf

log = logging.getLogger("healing.retention")

#: Seconds between two rounds.
PERIOD = 3600.0
#: How long after its end a run's folder is packed: while it is fresh, people look into it.
PACK_AFTER = timedelta(hours=1)
#: Nothing younger is ever removed: attempts are counted over so long.
YOUNG = timedelta(days=1)
#: How long the engine remembers finished workflows: their incidents' states guard what they did, the store records it.
WORKFLOWS_KEPT = timedelta(days=7)
#: Incidents, lines of the ledger, pages and runs of one transaction: 28 ms in the median on a busy machine. Ten
#: incidents in one were no quicker there (33 ms, one run each).
INCIDENTS, LINES, PAGES, RUNS = 25, 500, 200, 100
#: Seconds between two transactions. Another process looks every 0.1 s whether it may write.
PAUSE = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is kept, and how long."""

    artifacts_days: int
    records_days: int
    #: All runs' artifacts together.
    artifacts_bytes: int


class Tidy:
    """Removes what nobody needs any more."""

    def __init__(
        self,
        store: RetentionRecords,
        artifacts_dir: Path,
        limits: Limits,
        *,
        forget: Callable[[datetime], int],
        now: Callable[[], datetime],
        pause: Callable[[float], None],
    ) -> None:
        """`forget` deletes the engine's finished workflows of before; `pause` raises Interrupted when we end."""
        self._store, self._folder, self._limits = store, artifacts_dir, limits
        self._forget, self._now, self._pause = forget, now, pause
        self._shelf = Shelf(artifacts_dir)
        self._next = time.monotonic()

    def when_due(self) -> None:
        """One round, unless the last one was begun less than PERIOD ago; to be called every minute or so.

        Raises StoreUnavailable, RecordError.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PERIOD
        try:
            self.round()
        except Interrupted:
            log.debug("retention goes on at the next start")

    def round(self) -> None:
        """Everything that is due. Raises StoreUnavailable, RecordError, Interrupted."""
        now, limits = self._now(), self._limits
        before = _midnight(now - timedelta(days=limits.records_days))
        try:
            self._shelf.drop_drafts()
            self._shelf.clear(self._older(_midnight(now - timedelta(days=limits.artifacts_days))))
            self._shelf.clear(self._beyond(limits.artifacts_bytes, now - YOUNG))
            # Told after the fact: on a full disk it can't be before.
            self._record_cleared()
            self._pack(now - PACK_AFTER)
            self._prune(before)
        except OSError as error:
            raise StoreUnavailable(f"Old artifacts in {self._folder} can't be removed: {error}.") from error
        self._prune_ledger(before)
        self._forget(now - WORKFLOWS_KEPT)
        while self._store.shrink(PAGES):
            self._pause(PAUSE)

    # artifacts ------------------------------------------------------------------------------------

    def _record_cleared(self) -> None:
        for some in _chunks(self._shelf.cleared(), RUNS):
            self._store.artifacts_removed(some)
            self._shelf.forget(some)
            self._pause(PAUSE)

    def _older(self, before: datetime) -> Iterator[str]:
        # Ids sort by the time at which their incident was opened.
        old = [run_id for run_id in artifacts.kept(self._folder) if run_id < id_at(before)]
        yield from self._finished(old, before)

    def _beyond(self, limit: int, before: datetime) -> Iterator[str]:
        """The oldest ones, as long as all together take more than the limit."""
        sizes = self._shelf.sizes()
        taken = sum(sizes.values())
        if taken <= limit:
            return
        for run_id in self._finished(list(sizes), before):
            yield run_id
            taken -= sizes[run_id]
            if taken <= limit:
                return
        log.warning(
            "artifacts take %d MB, more than artifacts_limit_mb (%d): what is left is younger than a day or needed",
            taken // 10**6,
            limit // 10**6,
        )

    def _finished(self, run_ids: Sequence[str], before: datetime) -> Iterator[str]:
        for some in _chunks(run_ids, RUNS):
            finished = self._store.finished(some, before)
            yield from (run_id for run_id in some if run_id in finished)

    def _pack(self, before: datetime) -> None:
        for run_id in self._finished(self._shelf.unpacked(), before):
            try:
                self._shelf.pack(run_id)
            except OSError as error:
                # On a full disk, most likely. What follows makes room, and it is tried again in an hour.
                log.warning("the artifacts of %s can't be packed: %s", run_id, error)
                return
            self._pause(0)

    # records --------------------------------------------------------------------------------------

    def _prune(self, before: datetime) -> None:
        while old := self._store.old_incidents(before, INCIDENTS):
            here = set(artifacts.kept(self._folder))
            self._shelf.clear(run_id for one in old for run_id in one.runs if run_id in here)
            self._record_cleared()
            if not self._store.prune_incidents([one.id for one in old], before):
                return
            self._pause(PAUSE)

    def _prune_ledger(self, before: datetime) -> None:
        self._store.release_ledger(before)
        while self._store.delete_released(LINES):
            self._pause(PAUSE)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
