"""An orchestrator's process: started cold as an operator starts it, or forked by a nursery."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

ROOT = Path(__file__).resolve().parents[2]


class Process(Protocol):
    """What a lane needs of it."""

    pid: int

    def poll(self) -> int | None:
        """None while it lives."""

    def send_signal(self, sig: int, /) -> None:
        """Nothing where it is gone."""

    def wait(self) -> object:
        """Until it is gone."""


def cold(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Ends with the thread that started it."""
    with log.open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=dict(environment),
        )


class Forked:
    """A process that is nobody's child here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(pid)

    def _ended(self, milliseconds: int | None) -> bool:
        if self._handle is None:
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        if not poll.poll(milliseconds):
            return False
        os.close(self._handle)
        self._handle = None
        return True

    def poll(self) -> int | None:
        """None while it lives; nobody knows how it ended."""
        return 1 if self._ended(0) else None

    def send_signal(self, sig: int, /) -> None:
        """Nothing where it is gone."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, sig)

    def wait(self) -> None:
        """Until it is gone."""
        self._ended(None)


class Nursery:
    """See nursery.py. Lanes may share it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=dict(environment),
            text=True,
        )

    def fork(self, arguments: Sequence[str], *, log: Path, armed: Path, passed: Path) -> Forked:
        """`healer` with these arguments. Raises RuntimeError where the nursery is dead."""
        order = {"log": str(log), "armed": str(armed), "passed": str(passed), "arguments": list(arguments)}
        say, hear = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        with self._turn:
            say.write(json.dumps(order) + "\n")
            say.flush()
            answer = hear.readline()
        if not answer:
            raise RuntimeError(f"the nursery ended with {self._process.wait()}")
        return Forked(int(answer))

    def close(self) -> None:
        """It, and all that it has forked."""
        self._process.kill()
        self._process.communicate()
