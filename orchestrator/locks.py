"""Locks of this machine that go with the process that holds them, however it ends: flock on a file.

The file's text is its holder's pid, for people; what counts is the kernel's answer, which holds across containers
that share the file.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import IO

from orchestrator.errors import ConfigError, StoreUnavailable

#: Seconds that taking a lock waits: `is_locked` of another process holds it for an instant.
PATIENCE = 0.5
_LOOK = 0.02


#: Whoever connects to a file that `touch` may just have made comes after its descriptor was closed.
_MAKING = threading.Lock()


def touch(path: Path) -> None:
    """An empty database file of mode 0600 where there is none; one that is there is not opened. Raises OSError.

    SQLite's own locks are POSIX's, and a process loses those on a file with the first descriptor of it that it closes,
    whichever that is (https://www.sqlite.org/howtocorrupt.html, 2.2). Without them, whoever else closes the database
    takes away its WAL, and what we write from there on is in a file without a name.
    """
    with _MAKING:
        try:
            os.close(os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


def hold(path: Path, refused: str) -> IO[bytes]:
    """Hold the lock until the answer is closed or this process ends.

    `refused` is the sentence for a lock that somebody else holds; `{pid}` in it becomes who. Raises ConfigError with
    it, and StoreUnavailable where the file can't be written.
    """
    try:
        # Not buffered: a full disk is told when it is written to, not when it is closed.
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        if not _taken(file):
            raise ConfigError(refused.replace("{pid}", holder(path)))
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    except OSError as error:
        file.close()
        raise _unwritable(path, error) from error
    except ConfigError:
        file.close()
        raise
    return file


def is_locked(path: Path) -> bool:
    """Whether some process holds this lock now; False where there is no such file. Raises PermissionError."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def holder(path: Path) -> str:
    """Who wrote itself into the file last: a pid as text, `unknown` where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"


def _taken(file: IO[bytes]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        time.sleep(_LOOK)


def _unwritable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} can't be written: {error.strerror}. Make room or correct its owner, then try again."
    )
