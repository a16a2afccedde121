"""Runs a playbook at most once, in a process that outlives us, and says how it ended.

The order of things is what makes it safe: claim the run row, write both folders, start a supervisor that waits,
record its pid, and only then say go. Whoever comes again for the same run finds its row and waits with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO, Protocol, TypeVar, cast

from orchestrator.act import processes, workspace
from orchestrator.act.lease import Lapses
from orchestrator.act.order import GO, PERMIT, Ended, cancel_mark, discard
from orchestrator.act.readings import Readings
from orchestrator.act.workspace import Workspace
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import RunId, Signature
from orchestrator.domain.runs import PlaybookJob, PlaybookResult, Run, RunStatus
from orchestrator.errors import HealingError, InventoryError, RecordError, StoreUnavailable
from orchestrator.ports import Fleet, Probe
from orchestrator.settings import HOME, Settings

log = logging.getLogger(__name__)

#: Seconds past a run's own limit in which its supervisor must have ended it; then it is asked, then killed.
GRACE, ASKED, KILLED = 30.0, 10.0, 5.0
#: Seconds that another execution of the same run may take between its row and its pid.
START_SECONDS = 15.0
#: Seconds after which a cut run's host is asked once more, right away, whether it is still at work.
SETTLE_PAUSES = (1.0, 1.0)
#: Seconds: a host that took longer not to answer is away, and is asked later.
AWAY = 2.0
#: Seconds between two later questions: a host that is down takes as long as a connection attempt.
SETTLE_AGAIN = 15.0
#: Seconds between two tries to write a run's end.
STORE_AGAIN = 1.0
#: Seconds that a run is waited for without asking whether the worker ends.
WATCHED = 0.5
_LOOK = 0.05
_CUT_EARLY = "It was cut before it was started; nothing was changed."
_Answer = TypeVar("_Answer")


class Runs(Protocol):
    """What is needed of the store."""

    def signatures(self, incident_id: str) -> frozenset[Signature]: ...
    def claim(self, job: PlaybookJob, *, signatures: frozenset[Signature]) -> RunStatus | None: ...
    def started(self, run_id: RunId, pid: int, pid_start: int, *, lease_seconds: float) -> bool: ...
    def finish(self, result: PlaybookResult, *, slot_shut: bool) -> Run: ...
    def open_slot(self, run_id: RunId) -> None: ...
    def run(self, run_id: str) -> Run | None: ...


class RunnerExecutor(Readings):
    """The Executor over ansible-runner, in one supervisor process a run."""

    def __init__(
        self,
        settings: Settings,
        store: Runs,
        probe: Probe,
        fleet: Fleet | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`fleet` names the hosts of runs of an earlier process; without it their slots stay shut.

        `pause` passes the time between two tries to write a run's end, and is called with 0 now and then while a run
        is waited for; it may raise to give up, and the run is then left to whoever executes it next.
        """
        super().__init__(settings)
        self._store = store
        self._probe = probe
        self._fleet = fleet
        self._pause = pause
        #: Runs that a thread of ours starts or waits for: their end is its business alone.
        self._ours: set[str] = set()
        #: Hosts of runs whose slot is shut, and when each run's hosts may be asked again.
        self._shut: dict[str, tuple[Host, ...]] = {}
        self._ask_after: dict[str, float] = {}
        self._lapses = Lapses(settings.run_lease_seconds)

    def execute(self, job: PlaybookJob, signatures: frozenset[Signature] | None = None) -> PlaybookResult:
        """Start at most once by run id and wait for the end; called again for the same id: adopt and wait.

        `signatures`: what the incident has shown so far; None: as the store knows it. A failed playbook, a
        host that is busy, bytes that differ from `job.digest` and a stop of all healing are values. Raises
        RecordError, CatalogError, InventoryError and StoreUnavailable where this call started nothing; from
        then on the store is asked until it answers.
        """
        known = self._store.signatures(job.incident_id) if signatures is None else signatures
        self._ours.add(job.run_id)
        try:
            claim = self._store.claim(job, signatures=known)
            if claim is RunStatus.BUSY:
                names = ", ".join(host.name for host in job.hosts)
                reason = f"Another run holds {names}; nothing was started."
                return PlaybookResult(run_id=job.run_id, status=RunStatus.BUSY, reason=reason)
            return self._start(job) if claim is None else self._adopt(job)
        finally:
            self._ours.discard(job.run_id)

    def cancel(self, run_id: RunId) -> None:
        """Ask a run to end, from its claim on; it is canceled once its result says so. Safe to call at any time.

        Its supervisor looks for the mark before it starts the playbook, and several times a second after that.
        """
        if not self._runs(run_id):
            return
        mark = cancel_mark(Workspace.of(run_id, self._settings).private)
        try:
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.touch()
            if not self._runs(run_id):
                mark.unlink(missing_ok=True)
        except OSError as error:
            raise RecordError(f"The run {run_id} can't be told to end: {error}.") from error

    def _runs(self, run_id: str) -> bool:
        run = self._store.run(run_id)
        return run is not None and run.status is RunStatus.RUNNING

    def settle(self, run_id: str) -> bool:
        """Open the slot of a cut run if nothing of it runs on any of its hosts; whether it is open.

        For a sweep over `shut_runs`: call it as often as you like. A run that is still called running is ended
        first where nobody can any more: by the result that it left, else as unknown, and as refused where it
        never got a supervisor. One whose supervisor lives, or for which a thread of ours waits, is left alone.
        Hosts are asked every SETTLE_AGAIN seconds at most; one that can't be asked, or is unknown by now,
        keeps the slot shut.
        """
        try:
            run = self._store.run(run_id)
            if run is not None and run.status is RunStatus.RUNNING:
                run = self._bury(run)
            if run is None:
                return False
        except (HealingError, OSError) as error:
            log.warning("run.left run=%s: %s", run_id, error)
            return False
        now = time.monotonic()
        if run.slot_shut and now < self._ask_after.get(run_id, 0.0):
            return False
        self._ask_after[run_id] = now + SETTLE_AGAIN
        return self._open(run)

    def _bury(self, run: Run) -> Run | None:
        """The end of a running run that has no supervisor; None: it has one, or may get one yet."""
        if run.id in self._ours:
            return None
        space = Workspace.of(run.id, self._settings)
        if run.pid is not None:
            if processes.alive(run.pid, run.pid_start or 0):
                if not self._lapses.lapsed(run.id, run.lease_until):
                    return None
                self._kill(run.id, run.pid, run.pid_start or 0)
            return self._end(run.id, space)[1]
        if datetime.now(UTC) - run.started < timedelta(seconds=START_SECONDS) or not self._give_up(run.id, space):
            return None
        self._not_started(run.id, _CUT_EARLY)
        return self._store.run(run.id)

    def _open(self, run: Run) -> bool:
        """Give the hosts of an ended run back if nothing of it runs there; whether they are free."""
        if run.slot_shut:
            try:
                shut = [name for name in run.hosts if run.on(name).slot_shut]
                hosts = self._shut.get(run.id) or tuple(map(self._host, shut))
                if any(self._probe.running(host, run.id) for host in hosts):
                    return False
                self._store.open_slot(run.id)
            except HealingError as error:
                log.info("slot.shut run=%s: %s", run.id, error)
                return False
        self._shut.pop(run.id, None)
        self._ask_after.pop(run.id, None)
        return True

    def _host(self, name: str) -> Host:
        if self._fleet is None:
            raise InventoryError(f"The host {name} is not known here, so its slot stays shut.")
        return self._fleet.host(name)

    # starting -------------------------------------------------------------------------------------

    def _start(self, job: PlaybookJob) -> PlaybookResult:
        try:
            space, found = workspace.prepare(job, self._settings)
        except HealingError as error:
            self._not_started(job.run_id, str(error))
            raise
        if job.digest and found != job.digest:
            return self._not_started(
                job.run_id,
                f"What would run differs from what was judged: {job.action}'s playbook, role, parameters or "
                "host variables changed. Nothing was started.",
                space,
            )
        try:
            supervisor = self._spawn(space)
        except OSError as error:
            self._not_started(job.run_id, f"The run's process can't be started: {error}.", space)
            raise RecordError(f"The run {job.run_id} can't be started: {error}. Nothing was changed.") from error
        try:
            pid_start = processes.start_time(supervisor.pid) or 0
            lease = self._settings.run_lease_seconds
            ours = self._store.started(job.run_id, supervisor.pid, pid_start, lease_seconds=lease)
        except HealingError:
            # Its standard input ends without the word, so it ends too.
            supervisor.communicate()
            self._not_started(job.run_id, "The run's process could not be recorded, so nothing was started.", space)
            raise
        if not ours:
            supervisor.communicate()
            return self._not_started(job.run_id, _CUT_EARLY, space)
        self._go(supervisor)
        self._wait(job, supervisor.pid, pid_start)
        supervisor.wait()
        return self._conclude(job, space)

    @staticmethod
    def _go(supervisor: subprocess.Popen[bytes]) -> None:
        # Already dead: it leaves no result, which is all that matters from here on.
        with contextlib.suppress(BrokenPipeError), cast(IO[bytes], supervisor.stdin) as word:
            word.write(GO)

    def _spawn(self, space: Workspace) -> subprocess.Popen[bytes]:
        errors = os.open(space.artifacts / "supervisor.log", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator.supervise", str(space.private)],
                cwd=HOME,
                env=dict(self._settings.child_environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        finally:
            os.close(errors)

    def _not_started(self, run_id: RunId, reason: str, space: Workspace | None = None) -> PlaybookResult:
        """Give the row back: nothing was changed."""
        now = datetime.now(UTC)
        result = PlaybookResult(run_id=run_id, status=RunStatus.REFUSED, reason=reason, started=now, ended=now)
        ended = Ended(result=result, settled=True)
        if space is not None:
            space.discard()
            self._record(ended, space)
        return _as_recorded(ended, self._finish(ended))

    # waiting --------------------------------------------------------------------------------------

    def _adopt(self, job: PlaybookJob) -> PlaybookResult:
        """Wait for a run that was started before: here, by another thread, or before a crash."""
        space = Workspace.of(job.run_id, self._settings)
        deadline = time.monotonic() + START_SECONDS
        while True:
            run = self._insist(lambda: self._store.run(job.run_id))
            if run is None:
                raise RecordError(f"The run {job.run_id} was claimed, but has no row. Nothing was started.")
            if run.status is not RunStatus.RUNNING:
                return _as_recorded(Ended.read(space.artifacts), run)
            if run.pid is not None:
                self._wait(job, run.pid, run.pid_start or 0)
                return self._conclude(job, space)
            if time.monotonic() > deadline and self._give_up(job.run_id, space):
                return self._not_started(job.run_id, _CUT_EARLY)
            time.sleep(_LOOK)

    def _give_up(self, run_id: RunId, space: Workspace) -> bool:
        """Make sure that a run without a pid never starts any more; False: it did meanwhile.

        Its pid is recorded before its supervisor may go on, and that needs the file that is made here.
        """
        try:
            space.private.mkdir(mode=0o700, parents=True, exist_ok=True)
            (space.private / PERMIT).touch(exist_ok=False)
        except FileExistsError:
            log.debug("run.permit run=%s is taken", run_id)
        except OSError as error:
            raise RecordError(f"The run {run_id} can't be given up: {error}. It is left as it is.") from error
        run = self._insist(lambda: self._store.run(run_id))
        if run is None or run.pid is not None:
            return False
        discard(space.private, keep=PERMIT)
        return True

    def _wait(self, job: PlaybookJob, pid: int, pid_start: int) -> None:
        """Until the supervisor is gone. It ends a run by itself; one that hangs is asked, then killed."""
        deadline = time.monotonic() + job.run_timeout + GRACE
        while time.monotonic() < deadline:
            if processes.wait_gone(pid, pid_start, WATCHED):
                return
            # The run goes on without us where the worker ends: whoever executes it next adopts it.
            self._pause(0)
            if self._is_silent(job.run_id):
                break
        else:
            log.warning("run.overdue run=%s pid=%s", job.run_id, pid)
            processes.send(pid, pid_start, signal.SIGTERM)
            if processes.wait_gone(pid, pid_start, ASKED):
                return
        self._kill(job.run_id, pid, pid_start)

    def _is_silent(self, run_id: RunId) -> bool:
        """Whether its process lives but renews no lease: it hangs, and its playbook may do anything."""
        try:
            run = self._store.run(run_id)
        except HealingError:
            return False
        return run is not None and self._lapses.lapsed(run_id, run.lease_until)

    @staticmethod
    def _kill(run_id: str, pid: int, pid_start: int) -> None:
        log.warning("run.killed run=%s pid=%s: its process hangs", run_id, pid)
        processes.send(pid, pid_start, signal.SIGKILL)
        processes.wait_gone(pid, pid_start, KILLED)

    def _conclude(self, job: PlaybookJob, space: Workspace) -> PlaybookResult:
        """How it ended, with its hosts free again where they are idle within moments."""
        ended, run = self._end(job.run_id, space)
        if run.slot_shut:
            self._shut[run.id] = tuple(host for host in job.hosts if run.on(host.name).slot_shut)
            for pause in (0.0, *SETTLE_PAUSES):
                time.sleep(pause)
                asked = time.monotonic()
                if self._open(run) or time.monotonic() - asked > AWAY:
                    break
        return _as_recorded(ended, run)

    def _end(self, run_id: RunId, space: Workspace) -> tuple[Ended, Run]:
        """The result that the supervisor left, else UNKNOWN; in the row, and the slot shut where it must be."""
        ended = Ended.read(space.artifacts) or self._cut(run_id, space)
        return ended, self._finish(ended)

    def _finish(self, ended: Ended) -> Run:
        """Write a run's end until it is written: a row that stays running holds its hosts for good."""
        run = self._insist(lambda: self._store.finish(ended.result, slot_shut=not ended.settled))
        self._lapses.forget(run.id)
        with contextlib.suppress(OSError, RecordError):
            cancel_mark(Workspace.of(run.id, self._settings).private).unlink(missing_ok=True)
        return run

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        while True:
            try:
                return ask()
            except (StoreUnavailable, RecordError) as error:
                # Told by whoever sweeps; a try a second would drown that.
                log.debug("run.store: %s Trying again.", error)
                self._pause(STORE_AGAIN)

    def _cut(self, run_id: RunId, space: Workspace) -> Ended:
        """The supervisor died: end on this machine what it could not, and say that nothing is known."""
        left = processes.kill_all(lambda: processes.marked(space.marker), KILLED)
        space.discard()
        reason = "The run's process ended without a result, so how far the playbook came is unknown."
        if left:
            reason += f" Still alive on the controller: {', '.join(map(str, sorted(left)))}."
        result = PlaybookResult(run_id=run_id, status=RunStatus.UNKNOWN, reason=reason, ended=datetime.now(UTC))
        ended = Ended(result=result, settled=False)
        self._record(ended, space)
        return ended

    @staticmethod
    def _record(ended: Ended, space: Workspace) -> None:
        """Beside the row, which is what counts."""
        try:
            ended.write(space.artifacts)
        except OSError as error:
            log.warning("run.result run=%s can't be written: %s", ended.result.run_id, error)


def _as_recorded(ended: Ended | None, run: Run) -> PlaybookResult:
    """The row that stands, which another execution may have written; with what only the result knows."""
    return PlaybookResult(
        run_id=run.id,
        status=run.status,
        rc=run.rc,
        reason=run.reason,
        changed=ended.result.changed if ended is not None else False,
        started=run.started,
        ended=run.ended,
        ends=run.ends,
    )
