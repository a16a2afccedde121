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
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True)
#: Seconds between two looks while processes are being killed.
_LOOK = 0.02


def start_time(pid: int) -> int | None:
    """Clock ticks since boot when the process began; None where it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


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
    """Pids whose initial environment holds exactly `entry` (NAME=value), as far as we may read it."""
    needle, found = entry.encode(), set()
    for pid in _pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if needle in environment.split(b"\0") and start_time(pid) is not None:
            found.add(pid)
    return found


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


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """State, parent pid and what follows; the name before them may hold any letter, brackets included."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
