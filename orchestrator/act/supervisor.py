"""One process for one run: `python -m orchestrator.supervise RUN_DIR`.

Detached from whoever started it: an orchestrator may die at any instant and finds the run again by its pid.
Enforces the time limit and cancel, ends the playbook where it can't renew the run's lease, and leaves neither a
process nor the private folder behind. Waits for GO on standard input before it starts anything: no record of its
pid, no playbook.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import ansible_runner.runner
from ansible_runner.config.runner import RunnerConfig

from orchestrator import locks
from orchestrator.act import outcome, processes
from orchestrator.act.lease import Renewal
from orchestrator.act.order import GO, PERMIT, VOUCHER, Ended, Order, cancel_mark, discard
from orchestrator.act.recorder import Recorder
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import PlaybookResult, RunKind, RunStatus

#: Seconds between two looks at limit and cancel while a playbook is silent.
LOOK = 0.2
#: Seconds in which killed processes must be gone.
KILL_SECONDS = 5.0
#: Letters that a playbook may print, its events included. A run's are some 100 000; 30 MB of a host's output
#: took 600 MB of memory, 120 MB of disk and 90 s here (measured), so a host could fill the controller.
OUTPUT_LIMIT = 8 * 1024 * 1024
#: Bytes of memory that each process of a playbook may have: Ansible takes 70 MB, and holds a host's answer whole.
MEMORY_LIMIT = 1024 * 1024 * 1024
#: A plan changes nothing, and prints what would change.
CHECK_MODE = "--check --diff"
#: What ansible-runner itself puts into the environment. Nothing else of what it collects is let through.
RUNNER_KEYS = frozenset(
    {
        "ANSIBLE_CALLBACK_PLUGINS",
        "ANSIBLE_RETRY_FILES_ENABLED",
        "ANSIBLE_STDOUT_CALLBACK",
        "AWX_ISOLATED_DATA_DIR",
        "RUNNER_OMIT_EVENTS",
        "RUNNER_ONLY_FAILED_EVENTS",
    }
)


class Watch:
    """Says when a run must end, and ends it: every process below this one."""

    def __init__(self, cancel_file: Path, renewal: Renewal) -> None:
        self._cancel_file = cancel_file
        self._renewal = renewal
        self._deadline = math.inf
        self.canceled = False
        self.timed_out = False
        #: Why nobody vouches for the run any more; empty while somebody does.
        self.fenced = ""
        #: Letters that the playbook has printed.
        self.heard = 0

    def start(self, seconds: float) -> None:
        """The time limit counts from here."""
        self._deadline = time.monotonic() + seconds
        self._renewal.begin()

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM is cancel."""
        self.canceled = True

    @property
    def flooded(self) -> bool:
        """Whether the playbook has printed more than is recorded of a run."""
        return self.heard > OUTPUT_LIMIT

    def over(self) -> bool:
        """ansible-runner's cancel callback; kills by itself, for a group kill misses Ansible's workers."""
        if not self.timed_out:
            self.canceled = self.canceled or self._cancel_file.exists()
            self.timed_out = not self.canceled and time.monotonic() > self._deadline
        self.fenced = self.fenced or self._renewal.lost()
        if self.canceled or self.timed_out or self.flooded or self.fenced:
            kill_descendants()
            return True
        return False


def kill_descendants() -> set[int]:
    """Kill everything below this process; what could not be killed."""
    return processes.kill_all(lambda: processes.descendants(os.getpid()), KILL_SECONDS)


def main(folder: Path, keep: Callable[[Order], Callable[[], bool]]) -> int:
    """Supervise the run of this private folder. 0: result.json says how it ended; 1: nothing was started.

    `keep` gives what renews the lease of an order's run: see act.lease.Renewal.
    """
    os.umask(0o077)
    processes.become_subreaper()
    try:
        order = Order.read(folder)
        watch = Watch(cancel_mark(folder), Renewal(keep(order), order.lease, order.renewal))
        signal.signal(signal.SIGTERM, watch.signalled)
        with locks.hold(folder / VOUCHER, f"Another process (pid {{pid}}) supervises {folder}."):
            if sys.stdin.buffer.readline() != GO or not take_permit(folder):
                return 1
            supervise(folder, order, watch)
            return 0
    finally:
        if folder.exists():
            kill_descendants()
            discard(folder)


def take_permit(folder: Path) -> bool:
    """Only one may make this file: this process, which then starts, or whoever gave the run up."""
    try:
        (folder / PERMIT).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def supervise(folder: Path, order: Order, watch: Watch) -> None:
    """Run the playbook to its end, record it, remove the private folder; result.json comes last."""
    started = datetime.now(UTC)
    artifacts = Path(order.artifacts)
    recorder = Recorder(artifacts, order.secrets)
    watch.start(order.run_timeout)
    if watch.over():
        rc, judged = None, outcome.Outcome(status=RunStatus.CANCELED, reason="Canceled before it was started")
    else:
        rc = play(folder, order, watch, recorder)
        recorder.close()
        ending = outcome.Ending(rc=rc, timed_out=watch.timed_out, canceled=watch.canceled)
        judged = outcome.judge(order.run_kind, order.hosts, recorder.events, ending)
    judged = clean_up(folder, order, judged)
    recorder.write("rc", f"{rc}\n")
    recorder.write("status", f"{judged.status}\n")
    if watch.flooded:
        recorder.problem = f"the playbook printed more than {OUTPUT_LIMIT // 1024**2} MiB and was ended"
    if watch.fenced:
        reason = f"Its playbook was ended, because {watch.fenced}; how far it came is unknown"
        judged = replace(judged, status=RunStatus.UNKNOWN, settled=False, reason=reason, ends={})
    if recorder.problem:
        # Nobody may rely on a run that is not on record: look at the host again.
        reason = f"The record is incomplete: {recorder.problem}. Before that: {judged.status} {judged.reason}"
        judged = replace(judged, status=RunStatus.UNKNOWN, settled=False, reason=reason.strip(), ends={})
    result = PlaybookResult(
        run_id=RunId(order.run_id),
        status=judged.status,
        rc=rc,
        reason=recorder.blacken(judged.reason),
        changed=judged.changed,
        started=started,
        ended=datetime.now(UTC),
        ends={host: replace(end, reason=recorder.blacken(end.reason)) for host, end in judged.ends.items()},
    )
    Ended(result=result, settled=judged.settled).write(artifacts)


def play(folder: Path, order: Order, watch: Watch, recorder: Recorder) -> int | None:
    """One ansible-runner execution; its return code, None where the playbook was cut."""
    config = runner_config(folder, order)
    bind_child(watch)
    runner = ansible_runner.runner.Runner(config=config, cancel_callback=watch.over, event_handler=recorder.event)
    runner.run()
    for name in ("stdout", "stderr", "command"):
        recorder.keep(Path(config.artifact_dir) / name, name)
    # Killed by a signal: there is no exit status, and the runner's own rc file would hold the word None.
    return runner.rc if isinstance(runner.rc, int) else None


def runner_config(folder: Path, order: Order) -> RunnerConfig:
    """ansible-runner's settings, with a command that needs no PATH and an environment that is allowlisted.

    ansible-runner writes the environment into a file, and begins it with all of its own process'.
    """
    config = RunnerConfig(
        private_data_dir=str(folder),
        ident=order.run_id,
        playbook=order.playbook,
        inventory=str(folder / "inventory" / "hosts.yml"),
        cmdline=CHECK_MODE if order.run_kind is RunKind.PLAN else None,
        envvars=dict(order.environment),
        fact_cache_type="memory",
        quiet=True,
    )
    config.prepare()
    # Given as a setting it would be dropped, for want of a file env/settings.
    config.pexpect_timeout = LOOK
    # -P: the project folder is the working directory, and no file in it may stand in for a Python module.
    config.command[:1] = [sys.executable, "-P", "-m", "ansible.cli.playbook"]
    allowed = RUNNER_KEYS | order.environment.keys()
    config.env = {key: value for key, value in config.env.items() if key in allowed}
    return config


def bind_child(watch: Watch) -> None:
    """The playbook ends with this process, even where that is killed, has its limits, and is not waited for twice."""
    pexpect: Any = ansible_runner.runner.pexpect
    spawn = pexpect.spawn
    here = os.getpid()

    def bound(*arguments: Any, **options: Any) -> Any:
        def begin() -> None:
            processes.die_with(here)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

        child = spawn(*arguments, preexec_fn=begin, **options)
        read = child.read_nonblocking

        def heard(*sizes: Any, **more: Any) -> str:
            text: str = read(*sizes, **more)
            watch.heard += len(text)
            return text

        child.read_nonblocking = heard
        # The default is a sleep of 0.1 s after the playbook has ended.
        child.ptyproc.delayafterclose = 0
        return child

    pexpect.spawn = bound


def clean_up(folder: Path, order: Order, judged: outcome.Outcome) -> outcome.Outcome:
    """Leave nothing behind. After a run that ended by itself, kept ssh connections may stay for the next."""
    left: set[int] = set()
    if not judged.settled or judged.status is RunStatus.UNKNOWN:
        left = kill_descendants()
    if order.control_dir_private:
        processes.kill_all(lambda: processes.named("ssh", processes.descendants(os.getpid())), KILL_SECONDS)
    discard(folder)
    if not left:
        return judged
    pids = ", ".join(str(pid) for pid in sorted(left))
    ends = {host: replace(end, settled=False) for host, end in judged.ends.items()}
    return replace(judged, settled=False, ends=ends, reason=f"{judged.reason}; still alive on the controller: {pids}")
