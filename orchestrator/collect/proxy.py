"""A ProxyCommand: a process of ours whose pipes are the way to a host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping

#: Seconds between the end of a command's output and its own.
_LAST_WORDS = 0.2


class Proxy:
    """The running command. paramiko's own class knows no shell words, and spins once the command has ended."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        """Start it, in a process group of its own, as ssh does: by the shell, replaced by the command."""
        self.sock, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError:
            self.sock.close()
            raise
        finally:
            theirs.close()

    def ended(self) -> int | None:
        """The exit code, where the command has ended by itself."""
        try:
            return self._process.wait(timeout=_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End the command and what it started."""
        self.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
