"""One holder at a time, and whoever only looks is in nobody's way."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from orchestrator import locks
from orchestrator.errors import ConfigError


def test_a_second_holder_is_refused_with_who_has_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not locks.is_locked(lock)
    with locks.hold(lock, "it is {pid}'s"):
        assert locks.is_locked(lock)
        with pytest.raises(ConfigError, match=f"^it is {os.getpid()}'s$"):
            locks.hold(lock, "it is {pid}'s")
    assert not locks.is_locked(lock)
    locks.hold(lock, "free again").close()


def test_a_look_at_the_lock_refuses_nobody(tmp_path: Path) -> None:
    """`is_locked` of another process holds it for an instant; here the instant lasts until the other has tried."""
    lock = tmp_path / "lock"
    with lock.open("wb") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        threading.Timer(locks.PATIENCE / 5, looker.close).start()
        locks.hold(lock, "refused").close()
