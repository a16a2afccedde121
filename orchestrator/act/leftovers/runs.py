"""Runs that hold their hosts, and processes of runs on this machine."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from orchestrator.act import processes
from orchestrator.act.executor import KILLED, START_SECONDS
from orchestrator.act.leftovers import judgement
from orchestrator.act.leftovers.clearing import Kind
from orchestrator.act.leftovers.judgement import Judgement, ProcessFacts, RunFacts, WorkerFacts
from orchestrator.act.order import is_vouched
from orchestrator.act.processes import Process
from orchestrator.domain.runs import Run
from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings


class Runs(Protocol):
    """What is needed of the store."""

    def run(self, run_id: str) -> Run | None: ...
    def shut_runs(self) -> tuple[Run, ...]: ...


class LeftRuns:
    """Looks anew at each question."""

    def __init__(
        self,
        settings: Settings,
        store: Runs,
        worker: Callable[[], WorkerFacts],
        settle: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`settle` is the executor's; `clock` gives Unix time."""
        self._settings, self._store, self._worker, self._settle, self._clock = settings, store, worker, settle, clock
        self._runs = settings.state_dir / "runs"

    def kinds(self) -> tuple[Kind, ...]:
        """Runs first: whoever ends one ends its processes and removes its folder."""
        return (
            Kind(name="run", names=self._open_runs, judge=self._of_run, clear=self._end_run),
            Kind(name="process", names=self._pids, judge=self._of_process, clear=self._kill),
        )

    # runs -----------------------------------------------------------------------------------------

    def _open_runs(self) -> list[str]:
        return [run.id for run in self._store.shut_runs()]

    def _of_run(self, run_id: str) -> Judgement | None:
        run = self._store.run(run_id)
        if run is None or (run.ended is not None and not run.slot_shut):
            return None
        return judgement.of_run(
            RunFacts(
                run=run,
                age=self._since(run.started),
                alive=run.pid is not None and processes.alive(run.pid, run.pid_start or 0),
                vouched=is_vouched(self._runs / run.id),
                worker=self._worker(),
            )
        )

    def _end_run(self, run_id: str) -> str:
        before = self._store.run(run_id)
        self._settle(run_id)
        run = self._store.run(run_id)
        if before is None or run is None or run.ended is None:
            raise StoreUnavailable("the store did not take its end; try again.")
        done = "" if before.ended else f"ended as {run.status}; "
        return done + ("not all of its hosts answered that they are idle" if run.slot_shut else "its hosts are free")

    # processes ------------------------------------------------------------------------------------

    def _pids(self) -> list[str]:
        return [str(process.pid) for process in processes.of_runs(self._runs)]

    def _process(self, pid: str) -> Process | None:
        return next((one for one in processes.of_runs(self._runs) if one.pid == int(pid)), None)

    def _of_process(self, pid: str) -> Judgement | None:
        process = self._process(pid)
        return self._judge(process) if process else None

    def _judge(self, process: Process) -> Judgement | None:
        run = self._store.run(process.run_id)
        return judgement.of_process(
            ProcessFacts(
                process=process,
                run=run,
                age=processes.age(process.started),
                ended=self._since(run.ended) if run is not None and run.ended is not None else 0.0,
                notice=START_SECONDS + self._settings.run_renewal_seconds,
            )
        )

    def _kill(self, pid: str) -> str:
        process = self._process(pid)
        # Judged once more as the very process that is killed: its pid may have come again.
        judged = self._judge(process) if process else None
        if process is None or judged is None or not judged.dead:
            return "it was gone by itself"
        processes.send(process.pid, process.started, signal.SIGKILL)
        return "killed" if processes.wait_gone(process.pid, process.started, KILLED) else "killed, and not gone yet"

    def _since(self, moment: datetime) -> float:
        return (datetime.fromtimestamp(self._clock(), UTC) - moment).total_seconds()
