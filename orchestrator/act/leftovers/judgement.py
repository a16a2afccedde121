"""What a crash may leave, and what of it is provably dead. Pure: facts that somebody observed in, judgements out.

Nothing young is ever dead: between two steps of a start there is nothing yet that could prove it alive. And nothing is
dead that a live process, seen or not, may still use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from orchestrator.act.executor import START_SECONDS
from orchestrator.act.processes import Process
from orchestrator.domain.runs import UNSETTLED, Run, RunStatus

#: Runs, files and processes that are named of many.
_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What is said of one thing, and whether `--fix` may do what `fix` says."""

    #: None: worth knowing, no fault.
    ok: bool | None
    #: What it is, and why it is or is not provably dead.
    text: str
    #: What is to be done, and by whom; '' for nothing.
    fix: str = ""
    dead: bool = False
    #: Clearing it matters to whoever reads the ledger.
    recorded: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerFacts:
    """The `healer serve` of this state directory and store."""

    #: Somebody holds its lock.
    alive: bool
    #: As it wrote it.
    pid: str = "unknown"
    #: Seconds since it last beat; None: never.
    silent: float | None = None
    #: It lives, and has not beaten for too long.
    hangs: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """A run that holds its hosts."""

    run: Run
    #: Seconds since it was claimed.
    age: float
    #: The very process of its row lives.
    alive: bool
    #: Some process holds its voucher: one that can't be seen from here counts as well.
    vouched: bool
    worker: WorkerFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """Something that lies where runs leave things."""

    #: Seconds since it last changed.
    age: float
    #: What it is of, where that is no run.
    of: str = ""
    #: Why it is none of ours, as a sentence; '' where it is.
    odd: str = ""
    #: The run that it is of; None: the store knows none.
    run: Run | None = None
    #: Processes that may use it.
    users: tuple[int, ...] = ()
    vouched: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessFacts:
    """A process of a run on this machine."""

    process: Process
    run: Run | None
    #: Seconds since it began, and since its run ended.
    age: float
    ended: float = 0.0
    #: Seconds that a run's process may take to notice that its run is over.
    notice: float = START_SECONDS


def of_worker(seen: WorkerFacts) -> Judgement:
    """Never dead: a worker's lock goes with it, so what it leaves is no trouble."""
    if not seen.alive:
        return Judgement(ok=True, text="no healer serve works here now")
    if seen.hangs:
        beat = "has never beaten" if seen.silent is None else f"last beat {seen.silent:.0f} s ago"
        return Judgement(
            ok=False,
            text=f"pid {seen.pid} holds the lock and {beat}: it hangs, or waits for the store",
            fix=f"look at it; if it does not go on: kill -9 {seen.pid}; its runs go on, and the next serve adopts them",
        )
    return Judgement(ok=True, text=f"pid {seen.pid}, last beat {seen.silent or 0.0:.0f} s ago")


def of_run(seen: RunFacts) -> Judgement:
    """A run that is called running, or is over and keeps its hosts from the next one."""
    run = seen.run
    what = f"{run.kind} of {run.action} on {', '.join(run.hosts)}"
    if run.status is not RunStatus.RUNNING:
        return _shut(seen, what)
    what = f"{what}, running since {_stamp(run.started)}"
    if run.pid is None:
        if seen.age < START_SECONDS:
            return Judgement(ok=True, text=f"{what}: it is being started")
        return _dead_run(seen, f"{what}: it never got a process, so whoever began to start it is gone", "refused")
    if seen.alive:
        return _live(seen, what)
    if seen.vouched:
        return Judgement(
            ok=None,
            text=f"{what}: its process {run.pid} can't be seen from here and lives (another container?)",
            fix="run healer doctor where healer serve runs",
        )
    if seen.age < START_SECONDS:
        return Judgement(ok=None, text=f"{what}: its process {run.pid} is gone, and it is too young to be judged")
    return _dead_run(seen, f"{what}: its process {run.pid} is gone", "unknown")


def _live(seen: RunFacts, what: str) -> Judgement:
    run, left = seen.run, seen.run.lease_left
    if left is None or left >= 0:
        lease = "no lease yet" if left is None else f"lease left {left:.0f} s"
        return Judgement(ok=True, text=f"{what} by pid {run.pid}, {lease}")
    what = f"{what}: its process {run.pid} lives, and has not renewed its lease that ended {-left:.0f} s ago: it hangs"
    if seen.worker.alive and not seen.worker.hangs:
        return Judgement(ok=False, text=what, fix="the healer serve that works here ends it")
    return Judgement(
        ok=False, text=what, fix=f"start healer serve, which ends it; or kill -9 {run.pid}, then healer doctor --fix"
    )


def _shut(seen: RunFacts, what: str) -> Judgement:
    run = seen.run
    since = f" since {_stamp(run.ended)}" if run.ended else ""
    text = (
        f"{what}, {run.status}: the slot of its hosts is shut{since}, and opens once each of them answers that nothing "
        "of the run is at work there"
    )
    return _row_change(seen, text, "asks the hosts now", recorded=False)


def _dead_run(seen: RunFacts, text: str, status: str) -> Judgement:
    asked = ", and asks its hosts whether they still work on it" if status == "unknown" else ""
    return _row_change(seen, text, f"ends it by the result that it left, else as {status}{asked}")


def _row_change(seen: RunFacts, text: str, deed: str, *, recorded: bool = True) -> Judgement:
    """Rows are the live worker's to change: it knows more, and does it within seconds."""
    worker = seen.worker
    if worker.hangs:
        return Judgement(ok=False, text=text, fix=f"first see to the healer serve that hangs (pid {worker.pid})")
    if worker.alive:
        return Judgement(ok=False, text=text, fix=f"the healer serve that works here (pid {worker.pid}) {deed}")
    return Judgement(ok=False, text=text, fix=f"--fix {deed}", dead=True, recorded=recorded)


def of_file(seen: FileFacts, *, deed: str = "--fix removes it", recorded: bool = True) -> Judgement | None:
    """A folder or file of a run that should be gone by now; None: it is in use, or may be soon."""
    if seen.odd:
        return Judgement(ok=False, text=seen.odd)
    run = seen.run
    if seen.age < START_SECONDS or (run is not None and run.status is RunStatus.RUNNING):
        return None
    text = f"{seen.of or _of(run)}, {_old(seen.age)} old"
    if seen.users:
        return Judgement(ok=None, text=f"{text}, and in use by pid {_some(map(str, seen.users), len(seen.users))}")
    if seen.vouched:
        return Judgement(ok=None, text=f"{text}, and its process lives, though not seen from here (another container?)")
    return Judgement(ok=False, text=f"{text}, and nothing uses it", fix=deed, dead=True, recorded=recorded)


def of_process(seen: ProcessFacts) -> Judgement | None:
    """A process of a run; None: its run goes on, or it ends by itself."""
    process, run = seen.process, seen.run
    if process.connection or (run is not None and run.status is RunStatus.RUNNING):
        return None
    if min(seen.age, seen.ended if run is not None else seen.age) < seen.notice:
        return None
    what = f"{'the supervisor' if process.supervisor else process.name} {_of(run)}"
    look = f"look at it (ps -fp {process.pid}), and end it if it has no use: kill {process.pid}"
    if run is None:
        return Judgement(ok=None, text=f"{what}: whose it is can't be proven", fix=look)
    if not process.supervisor and run.status not in UNSETTLED:
        return Judgement(
            ok=None, text=f"{what}: the run was done with it, so it may be a service that it started", fix=look
        )
    return Judgement(ok=False, text=f"{what}: nobody waits for it", fix="--fix kills it", dead=True)


def of_artifacts(strange: frozenset[str], missing: frozenset[str]) -> tuple[Judgement, ...]:
    """Folders without a run, and runs without a folder: told alone, for each is somebody's record."""
    found = []
    if strange:
        text = f"{_some(sorted(strange), len(strange))}: the store knows no such run"
        found.append(Judgement(ok=None, text=text, fix="keep them, or remove them: nothing else speaks of them"))
    if missing:
        text = f"{_some(sorted(missing), len(missing))}: these runs began, and their artifacts are gone"
        found.append(
            Judgement(ok=None, text=text, fix="restore them from a backup; the ledger says how each run ended")
        )
    return tuple(found)


def _of(run: Run | None) -> str:
    if run is None:
        return "of a run that the store doesn't know"
    return f"of {run.id}, {run.status}" + (f" at {_stamp(run.ended)}" if run.ended else "")


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _old(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _some(names: Iterable[str], count: int) -> str:
    first = list(islice(names, _NAMED))
    return ", ".join(first) + (f" and {count - len(first)} more" if count > len(first) else "")
