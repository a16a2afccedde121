"""What `healer doctor` says of this machine itself, and what `--fix` clears: the parts wired together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime

from orchestrator import app as wiring
from orchestrator import locks
from orchestrator.act import permissions
from orchestrator.act.executor import RunnerExecutor
from orchestrator.act.leftovers import judgement
from orchestrator.act.leftovers.clearing import checks
from orchestrator.act.leftovers.files import LeftFiles
from orchestrator.act.leftovers.judgement import WorkerFacts
from orchestrator.act.leftovers.runs import LeftRuns
from orchestrator.collect.connection import Connections
from orchestrator.collect.probe import SshProbe
from orchestrator.errors import RecordError, StoreUnavailable
from orchestrator.ports import Check, Store
from orchestrator.record.database import path_of
from orchestrator.record.store import lock_of
from orchestrator.settings import Settings


def left_over(loaded: Settings, *, fix: bool) -> Iterator[Check]:
    """What is left of runs on this machine; with `fix`, what is provably dead is cleared on the way.

    Raises ConfigError where another `--fix` is at work.
    """
    unsafe = tuple(permissions.problems(loaded))
    yield from (Check(name="state_dir", ok=False, text=sentence) for sentence in unsafe)
    if not path_of(loaded.database_url).exists():
        yield Check(name="left over", ok=True, text="nothing: no healer serve has worked here")
    elif fix and unsafe:
        yield Check(name="left over", ok=False, text="nothing is cleared where somebody else can change what is there")
    else:
        try:
            yield from _left_over(loaded, fix=fix)
        except (StoreUnavailable, RecordError) as error:
            yield Check(name="left over", ok=False, text=str(error))


def _left_over(loaded: Settings, *, fix: bool) -> Iterator[Check]:
    store = wiring.open_record(loaded)
    sentence = f"Another healer doctor --fix (pid {{pid}}) works on {loaded.state_dir}. Wait until it is done."
    with locks.hold(loaded.state_dir / "doctor.lock", sentence) if fix else nullcontext():
        worker = judgement.of_worker(_worker_facts(loaded, store))
        yield Check(name="worker", ok=worker.ok, text=worker.text, fix=worker.fix)
        runs = LeftRuns(
            loaded, store, lambda: _worker_facts(loaded, store), lambda run_id: _settle(loaded, store, run_id)
        )
        files = LeftFiles(loaded, store)
        well = True
        for check in checks((*runs.kinds(), *files.kinds()), store, fix=fix, actor=wiring.actor()):
            well = well and check.ok is True and not check.fixed
            yield check
        for told in files.artifacts():
            well = False
            yield Check(name="artifacts", ok=told.ok, text=told.text, fix=told.fix)
        if well:
            yield Check(name="left over", ok=True, text="nothing")


def _worker_facts(loaded: Settings, store: Store) -> WorkerFacts:
    # Of either lock: a worker on this store from another state_dir has the rows as well.
    held = next((lock for lock in (loaded.worker_lock, lock_of(loaded.database_url)) if locks.is_locked(lock)), None)
    seen = store.worker_seen()
    silent = (datetime.now(UTC) - seen).total_seconds() if seen else None
    hangs = held is not None and (silent is None or silent > wiring.WORKER_SILENCE.total_seconds())
    return WorkerFacts(alive=held is not None, pid=locks.holder(held) if held else "", silent=silent, hangs=hangs)


def _settle(loaded: Settings, store: Store, run_id: str) -> bool:
    """End a dead run as the worker's sweep does, and ask its hosts: once, without waiting for the store."""

    def give_up(_: float) -> None:
        raise StoreUnavailable(f"The store did not take the end of {run_id}. Try again.")

    connections = Connections(loaded)
    try:
        return RunnerExecutor(loaded, store, SshProbe(connections), wiring.fleet(loaded), give_up).settle(run_id)
    finally:
        connections.close()
