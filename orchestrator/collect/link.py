"""What a connection to a host can do, whether it is SSH or the controller itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestrator.domain.hosts import Host

#: Bytes. An answer to one question that is longer is no answer: a hostile host must not fill our memory.
ANSWER_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How a script on a host ended, and what it said."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output, bytes that are no UTF-8 replaced."""
        return self.out.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """The last line of standard error, bounded."""
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


class Stream(Protocol):
    """A script that goes on running on a host."""

    def read(self, timeout: float | None = None) -> bytes:
        """What came next, at most 64 KiB; b'' at the end.

        Raises HostTimeout after `timeout` seconds of silence, HostUnreachable where the connection broke.
        """
        ...

    def write(self, data: bytes) -> None:
        """Hand it to the script's standard input. Raises HostUnreachable."""
        ...

    def close(self) -> None:
        """End it; on the host it ends with its pipes. Never raises."""
        ...


class Link(Protocol):
    """One connection to one host, shared by followed streams and questions. Safe from several threads."""

    @property
    def host(self) -> Host: ...

    @property
    def alive(self) -> bool: ...

    def run(self, script: str, *, root: bool = False, timeout: float = 30.0) -> Answer:
        """Run a POSIX shell script; `root` puts `sudo -n` before it.

        Raises HostTimeout (too late, or more than ANSWER_LIMIT bytes), HostUnreachable.
        """
        ...

    def open(self, script: str, *, root: bool = False) -> Stream:
        """Start a script that goes on running. Raises HostTimeout, HostUnreachable."""
        ...

    def close(self) -> None: ...


def shell(*, root: bool) -> str:
    """The command that reads a script from standard input.

    The script is never an argument: sudo would write it into the host's journal, search patterns included.
    """
    if not root:
        return "exec /bin/sh -s"
    # A login as root needs no sudo, and may have none. In sh's own words, whatever shell the login has.
    return """exec /bin/sh -c '[ "$(id -u)" = 0 ] && exec /bin/sh -s; exec sudo -n /bin/sh -s'"""


def script_bytes(script: str) -> bytes:
    """The script as it is written to the shell: whole lines, or the next write would join the last one."""
    return f"{script.rstrip()}\n".encode()
