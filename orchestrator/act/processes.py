"""Processes of this machine as /proc shows them (Linux): who is alive, who descends from whom.

Ansible's workers call setsid, so a group kill misses them. A supervisor is therefore a child subreaper:
whatever a playbook starts and leaves behind stays below it and can be found.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)
#: Seconds between two looks while processes are being killed.
_LOOK = 0.02
#: Looks at a process that shows no environment.
_STARTING = 10
#: include/linux/sched.h, in the flags of /proc/PID/stat.
_PF_KTHREAD = 0x00200000
_SUPERVISOR = b"orchestrator.supervise"


def start_time(pid: int) -> int | None:
    """Clock ticks since boot when the process began; None where it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def age(started: int) -> float:
    """Seconds since a process began; `started` as `start_time` tells it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def alive(pid: int, started: int) -> bool:
    """Whether this very process runs: a pid that came again has another start time."""
    return start_time(pid) == started


def wait_gone(pid: int, started: int, seconds: float) -> bool:
    """Wait until the process is gone, at most `seconds`; whether it is. Costs no polling."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not alive(pid, started):
            return True
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def send(pid: int, started: int, number: signal.Signals) -> None:
    """Signal this very process; nothing where it is gone, or where its pid came again."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if alive(pid, started):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def become_subreaper() -> None:
    """Orphans among our descendants become our children."""
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int) -> None:
    """In a child before exec: SIGTERM when the parent's thread dies (Ansible hands it on to its workers)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def descendants(root: int) -> set[int]:
    """Pids below `root`, zombies left out."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(pid)
    found: set[int] = set()
    queue = [root]
    while queue:
        for pid in children.get(queue.pop(), []):
            if pid not in found:
                found.add(pid)
                queue.append(pid)
    return found


def marked(entry: str) -> set[int]:
    """Pids whose initial environment holds exactly `entry` (NAME=value), as far as we may read it.

    A program that is just being started shows no environment for a moment, so what shows none is looked at again.
    """
    needle, found = os.fsencode(entry), set()
    hidden = set(_pids())
    for look in range(_STARTING):
        if look:
            time.sleep(_LOOK)
        seen = {pid: _words(pid, "environ") for pid in hidden}
        found |= {pid for pid, words in seen.items() if needle in words and start_time(pid) is not None}
        hidden = {pid for pid, words in seen.items() if words == [b""] and _is_program(pid)}
        if not hidden:
            break
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of a run on this machine."""

    pid: int
    #: See `start_time`.
    started: int
    name: str
    run_id: str
    #: The run's own process, not one of its playbook.
    supervisor: bool
    #: Keeps an ssh connection for whichever run needs it next, and ends by itself.
    connection: bool


def of_runs(runs: Path) -> tuple[Process, ...]:
    """Every process of a run whose private directory is, or was, in `runs`, as far as we may look."""
    found = (_of_run(pid, os.fsencode(runs) + b"/") for pid in _pids() if pid != os.getpid())
    return tuple(process for process in found if process is not None)


def _of_run(pid: int, runs: bytes) -> Process | None:
    started = start_time(pid)
    command = _words(pid, "cmdline")
    home = next((word for word in _words(pid, "environ") if word.startswith(b"ANSIBLE_HOME=" + runs)), b"")
    module = command.index(_SUPERVISOR) if _SUPERVISOR in command[:-1] else -1
    own = command[module + 1] if module >= 0 and command[module + 1].startswith(runs) else b""
    # Looked at again: the pid may have come again in between.
    if not (own or home) or started is None or started != start_time(pid):
        return None
    folder = own.removeprefix(runs) or home.removeprefix(b"ANSIBLE_HOME=" + runs)
    return Process(
        pid=pid,
        started=started,
        name=_comm(pid),
        run_id=os.fsdecode(folder.split(b"/")[0]),
        supervisor=bool(own),
        connection=bool(command) and command[0].startswith(b"ssh: ") and command[0].endswith(b"[mux]"),
    )


def named(name: str, pids: set[int]) -> set[int]:
    """Those of `pids` whose program is called `name`."""
    return {pid for pid in pids if _comm(pid) == name}


def kill_all(find: Callable[[], set[int]], seconds: float) -> set[int]:
    """SIGKILL what `find` finds until it finds nothing; what is left after `seconds` (not ours to kill)."""
    deadline = time.monotonic() + seconds
    while True:
        left = find() - {os.getpid()}
        if not left or time.monotonic() > deadline:
            return left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(_LOOK)


def _is_program(pid: int) -> bool:
    """Alive, and no thread of the kernel: those have no environment at all."""
    fields = _stat(pid)
    return fields is not None and fields[0] not in "ZX" and not int(fields[6]) & _PF_KTHREAD


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """State, parent pid and what follows; the name before them may hold any letter, brackets included."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _words(pid: int, what: str) -> list[bytes]:
    """The arguments or the initial environment; empty where we may not look, or it is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().split(b"\0")
    except OSError:
        return []


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
