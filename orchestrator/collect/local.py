"""The controller itself as a host (`ansible_connection: local`): the same questions through child processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO

from orchestrator.collect.link import ANSWER_LIMIT, Answer, script_bytes, shell
from orchestrator.domain.hosts import Host
from orchestrator.errors import HostTimeout, HostUnreachable
from orchestrator.settings import Settings

_CHUNK = 64 * 1024


class LocalLink:
    """See Link; there is nothing that could break."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host, self._environment = host, dict(settings.child_environment)
        self._streams: list[LocalStream] = []
        self._closed = False

    @property
    def host(self) -> Host:
        """Whose link this is."""
        return self._host

    @property
    def alive(self) -> bool:
        """True until closed."""
        return not self._closed

    def open(self, script: str, *, root: bool = False) -> LocalStream:
        """See Link."""
        stream = LocalStream(self._host.name, shell(root=root), self._environment)
        stream.write(script_bytes(script))
        self._streams = [*(one for one in self._streams if one.running), stream]
        return stream

    def run(self, script: str, *, root: bool = False, timeout: float = 30.0) -> Answer:
        """See Link."""
        deadline = time.monotonic() + timeout
        stream = LocalStream(self._host.name, shell(root=root), self._environment)
        try:
            stream.write(script_bytes(script))
            stream.end_input()
            parts, size = [], 0
            while part := stream.read(max(0.1, deadline - time.monotonic())):
                parts.append(part)
                size += len(part)
                if size > ANSWER_LIMIT or time.monotonic() > deadline:
                    raise HostTimeout(f"{self._host.name} (local) gave no end of an answer: {size} bytes so far.")
            return Answer(
                code=stream.wait(max(0.1, deadline - time.monotonic())), out=b"".join(parts), err=stream.err()
            )
        finally:
            stream.close()

    def close(self) -> None:
        """End what still runs."""
        self._closed = True
        for stream in self._streams:
            stream.close()


class LocalStream:
    """See Stream. A socket pair instead of pipes: its shutdown ends a reader in another thread, and the script."""

    def __init__(self, name: str, command: str, environment: dict[str, str]) -> None:
        self._name = name
        self._sock, theirs = socket.socketpair()
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the stream
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._complaints,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._sock.close()
            self._complaints.close()
            raise HostUnreachable(f"{name} (local): no shell could be started: {error.strerror}.") from error
        finally:
            theirs.close()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        try:
            # Not select(): it knows no descriptor above 1023, which a large fleet has.
            waiting = select.poll()
            waiting.register(self._sock, select.POLLIN)
            if waiting.poll(None if timeout is None else timeout * 1000):
                return self._sock.recv(_CHUNK)
        except (OSError, ValueError):
            return b""
        raise HostTimeout(f"{self._name} (local) said nothing for {timeout:g} s.")

    def write(self, data: bytes) -> None:
        """See Stream."""
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise HostUnreachable(f"{self._name} (local): the script has ended.") from error

    def end_input(self) -> None:
        """No more will be written."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def wait(self, timeout: float) -> int:
        """The exit code. Raises HostTimeout."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise HostTimeout(f"{self._name} (local): a script did not end.") from error

    def err(self) -> bytes:
        """What it complained of, the first 64 KiB."""
        self._complaints.seek(0)
        return self._complaints.read(_CHUNK)

    def close(self) -> None:
        """See Stream."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Also after the shell's own end: what it started is in its process group. Not allowed for what sudo
            # started; that ends with its pipes.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
                break
        self._sock.close()
        self._complaints.close()
