"""Rows in which nothing is killed, but what we stand on gives way: clocks, the store, the network, a frozen process."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from orchestrator.act import processes
from orchestrator.domain.runs import RunKind
from tests.chaos.judge import Patient
from tests.chaos.lane import HEALED_OR_TOLD, HEALER, HERE, LEASE, Lane, RowError

#: Seconds by which a clock is wrong, and for which a file is locked or a file system full.
SHIFT, LOCKED, FULL = 600, 20.0, 8.0
#: Seconds beyond its limit after which a run that sees nobody must have ended.
ENDS = 60.0
#: Bytes of the file system that is filled.
ROOM = 96 * 1024 * 1024


def _act_runs(lane: Lane, *, seconds: float = 2.0) -> Patient:
    """A patient whose act has just begun."""
    patient = lane.fall_ill(lane.acting[0], seconds=seconds)
    lane.wait_for(lambda: lane.is_running(patient, RunKind.ACT), "the act runs")
    return patient


def second_orchestrator(lane: Lane, size: int) -> None:
    """Another one on the same store is refused, with a sentence, and the first heals on."""
    lane.start()
    for _ in range(size):
        patient = _act_runs(lane)
        lane.tally.times += 1
        second = subprocess.run([str(HEALER), *lane.arguments], capture_output=True, text=True, timeout=60, check=False)
        if second.returncode == 0 or f"Another healer serve (pid {lane.pid}) works on" not in second.stderr:
            raise RowError(f"a second orchestrator ended with {second.returncode} and said: {second.stderr!r}")
        lane.settle([patient])


# clocks -----------------------------------------------------------------------------------------


def library() -> Path:
    """libfaketime. Raises RowError."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise RowError("libfaketime is missing: apt-get install faketime")
    return found[0]


def _clock(**words: str) -> Mapping[str, str]:
    """The environment in which a process sees another clock; its steady clock is the machine's."""
    return {
        "LD_PRELOAD": str(library()),
        "PYTHONPATH": str(HERE / "clock"),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # Else a wait for Python's own lock ends at once, and threads spin.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        **words,
    }


def _set(lane: Lane, seconds: int) -> Path:
    """Set the clock of whoever reads this file; they look once a second."""
    draft, file = lane.folder / "clock.part", lane.folder / "clock"
    draft.write_text(f"{seconds:+d}\n")
    return draft.replace(file)


def clock_wrong(sign: int, lane: Lane, size: int) -> None:
    """Started while the clock is 10 minutes wrong; killed in the verify, and started again with the right one."""
    for _ in range(size):
        lane.tally.times += 1
        lane.start(clock=_clock(FAKETIME=f"{sign * SHIFT:+d}"))
        patient = lane.fall_ill(lane.acting[0])
        lane.wait_for(lambda one=patient: lane.is_running(one, RunKind.VERIFY), "the verify runs")  # type: ignore[misc]
        lane.kill()
        before, since = lane.store.newest(), time.monotonic()
        lane.start()
        lane.go_on([patient], before, since)
        lane.settle([patient])
        lane.kill()


def clock_jumps(sign: int, lane: Lane, size: int) -> None:
    """It jumps by 10 minutes in the middle of an act; what falls ill later is healed as ever."""
    for _ in range(size):
        lane.tally.times += 1
        file = _set(lane, 0)
        lane.start(clock=_clock(FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_CACHE_DURATION="1"))
        patient = _act_runs(lane)
        before, since = lane.store.newest(), time.monotonic()
        _set(lane, sign * SHIFT)
        lane.go_on([patient], before, since)
        lane.settle([patient])
        lane.settle([lane.fall_ill(lane.acting[-1])])
        lane.kill()


# frozen processes -------------------------------------------------------------------------------


def freeze_orchestrator(lane: Lane, size: int) -> None:
    """SIGSTOP for longer than a lease, in the middle of an act; then SIGCONT."""
    lane.start(watched=True)
    for _ in range(size):
        patient = _act_runs(lane)
        lane.tally.times += 1
        lane.kill(signal.SIGSTOP)
        lane.rest(LEASE + 2)
        before, since = lane.store.newest(), time.monotonic()
        lane.kill(signal.SIGCONT)
        lane.go_on([patient], before, since)
        lane.settle([patient])


def freeze_supervisor(lane: Lane, size: int) -> None:
    """SIGSTOP of a run's own process, for good: it renews no lease, so it is ended and verify judges."""
    lane.start(watched=True)
    for _ in range(size):
        patient = _act_runs(lane)
        run = lane.wait_for(lambda one=patient: lane.is_running(one, RunKind.ACT), "the act runs")  # type: ignore[misc]
        lane.tally.times += 1
        before, since = lane.store.newest(), time.monotonic()
        processes.send(run.pid or 0, run.pid_start or 0, signal.SIGSTOP)
        lane.go_on([patient], before, since)
        lane.settle([patient], HEALED_OR_TOLD)


# hosts ------------------------------------------------------------------------------------------


def _host_gone(lane: Lane, size: int, set_gone: Callable[[str, bool], None]) -> None:
    """In the middle of an act, until that has ended; then it is back, and the next healing works."""
    lane.start(watched=True)
    host = lane.acting[0]
    for _ in range(size):
        patient = _act_runs(lane, seconds=4.0)
        lane.rest(lane.random.uniform(0, 3.0))
        lane.tally.times += 1
        with contextlib.ExitStack() as back:
            back.callback(set_gone, host, False)  # noqa: FBT003  # the two states of a thing
            set_gone(host, True)  # noqa: FBT003
            ended = lane.look_for(lambda one=patient: not lane.is_running(one, RunKind.ACT), seconds=ENDS)  # type: ignore[misc]
            before, since = lane.store.newest(), time.monotonic()
        if not ended:
            lane.tally.verdict.stuck.append(f"the act of {patient[1]} went on for {ENDS:g} s without its host")
        lane.go_on([patient], before, since)
        lane.settle([patient], HEALED_OR_TOLD)
        lane.settle([lane.fall_ill(host)])


def network_cut(lane: Lane, size: int) -> None:
    """Its cable is pulled."""
    _host_gone(lane, size, lambda host, gone: lane.ward.cut(host, cut=gone))


def sshd_frozen(lane: Lane, size: int) -> None:
    """Connections stay open, and nobody answers."""
    _host_gone(lane, size, lambda host, gone: lane.ward.freeze_sshd(host, frozen=gone))


# the store --------------------------------------------------------------------------------------


def store_locked(lane: Lane, size: int) -> None:
    """Another process holds both databases for 20 s, while an act runs and another patient falls ill."""
    # As it is by default: a run outlives a store that stalls for so long.
    lane.configure(run_lease_seconds=60.0, run_renewal_seconds=5.0)
    lane.start(watched=True)
    for _ in range(size):
        patients = [_act_runs(lane)]
        lane.tally.times += 1
        before = lane.store.newest()
        with contextlib.ExitStack() as locks:
            for name in ("healer.sqlite", "engine.sqlite"):
                other = locks.enter_context(contextlib.closing(sqlite3.connect(lane.state / name, timeout=10)))
                other.execute("BEGIN EXCLUSIVE")
            patients.append(lane.fall_ill(lane.acting[1]))
            lane.rest(LOCKED)
        lane.go_on(patients, before, time.monotonic())
        lane.settle(patients)


def store_full(lane: Lane, size: int) -> None:
    """The file system of the store is full, while an act runs and another patient falls ill; then there is room."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0700", "healing-chaos", str(lane.state)], check=True
    )
    lane.cleanup.callback(subprocess.run, ["umount", "--lazy", str(lane.state)], check=False)
    lane.start(watched=True)
    for _ in range(size):
        patients = [_act_runs(lane)]
        lane.tally.times += 1
        stuffing = lane.state / "stuffing"
        stuff = partial(_stuff, stuffing)
        stuff()
        patients.append(lane.fall_ill(lane.acting[1]))
        lane.rest(FULL, drive=stuff)
        before, since = lane.store.newest(), time.monotonic()
        stuffing.unlink()
        lane.go_on(patients, before, since)
        # A run whose record is incomplete is one that nobody may rely on: it counts as unknown, and verify judges.
        lane.settle(patients, HEALED_OR_TOLD)
        lane.settle([lane.fall_ill(lane.acting[0])])


def _stuff(file: Path) -> None:
    """Fill what is free, to the last byte; what others gave back since as well."""
    with file.open("ab", buffering=0) as stuffing:
        free = os.statvfs(file)
        for size in (free.f_bavail * free.f_frsize, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while size and stuffing.write(b"\0" * size):
                    pass
