"""The shell loop of `files`, running on a host: states of files, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.collect import files
from orchestrator.collect.filelines import parse_line
from orchestrator.collect.files import FileState, Position, Read
from orchestrator.collect.link import Link
from orchestrator.collect.login import Login
from orchestrator.collect.wording import worth
from orchestrator.domain.hosts import Host, LogFile
from orchestrator.domain.records import LogRecord
from orchestrator.errors import HostUnreachable

#: Seconds for one answer.
_LIMIT = 20.0
#: Bytes of an answer's line: a host that says more is not answering.
_LONGEST = 4096
#: Lines that may come before the first answer.
_GREETING = 1000


class FileLoop:
    """One loop for all log files of a host."""

    def __init__(self, link: Link, log_files: Sequence[LogFile], *, root: bool) -> None:
        """Start it. Raises HostUnreachable, HostTimeout."""
        self._host, self._files = link.host.name, len(log_files)
        self._rest = b""
        self._stream = link.open(files.build_loop([one.path for one in log_files]), root=root)
        try:
            # A login's greeting may come first.
            if not any(self._line() == "ready" for _ in range(_GREETING)):
                raise HostUnreachable(f"{self._host} does not start the reading of its log files.")
        except BaseException:
            self._stream.close()
            raise

    def states(self) -> dict[int, FileState]:
        """Each file's state by its place in the list. Raises HostUnreachable, HostTimeout."""
        self._stream.write(b"S\n")
        found: dict[int, FileState] = {}
        for _ in range(self._files):
            parsed = files.parse_state(self._line())
            if parsed is not None:
                found[parsed[0]] = parsed[1]
        if self._line() != "end" or len(found) != self._files:
            raise HostUnreachable(f"{self._host} gives no usable answer about its log files.")
        return found

    def read(self, read: Read) -> bytes:
        """Exactly as many bytes as asked for. Raises HostUnreachable, HostTimeout."""
        self._stream.write(f"{read.request}\n".encode())
        while len(self._rest) < read.count:
            self._rest += self._more()
        data, self._rest = self._rest[: read.count], self._rest[read.count :]
        return data

    def close(self) -> None:
        """End the loop."""
        self._stream.close()

    def _line(self) -> str:
        while b"\n" not in self._rest:
            if len(self._rest) > _LONGEST:
                raise HostUnreachable(f"{self._host} gives no usable answer about its log files.")
            self._rest += self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _more(self) -> bytes:
        data = self._stream.read(_LIMIT)
        if not data:
            raise HostUnreachable(f"{self._host} ended the reading of its log files.")
        return data


def open_loop(link: Link, login: Login) -> tuple[FileLoop, dict[int, FileState]]:
    """The loop as our user where that reads every file, else as root where that is allowed; and the first states."""
    loop = FileLoop(link, link.host.log_files, root=False)
    try:
        states = loop.states()
        if all(state.readable for state in states.values()) or not login.root:
            return loop, states
    except BaseException:
        loop.close()
        raise
    loop.close()
    loop = FileLoop(link, link.host.log_files, root=True)
    return loop, loop.states()


def problem_of(file: LogFile, state: FileState, login: Login) -> str:
    """Why a file can't be read, as a sentence with the way out; '' where it can."""
    if not state.found:
        return f"{file.path} is not there, or is no plain file: put the path in healing_log_files right."
    if not state.readable:
        return (
            f"{file.path} can't be read by {login.user}: add {login.user} to the file's group (mostly adm), or set "
            "ansible_become with a sudo that asks for no password."
        )
    return ""


def records_of(lines: Sequence[bytes], *, host: Host, file: LogFile, state: FileState, login: Login) -> list[LogRecord]:
    """Lines that could state an error, as records."""
    newest = datetime.fromtimestamp(state.written - login.clock_offset, UTC)
    parsed = (
        parse_line(
            line,
            file=file,
            host=host.name,
            newest=newest,
            clock_offset=login.clock_offset,
            zone_minutes=login.zone_minutes,
        )
        for line in lines
    )
    return [record for record in parsed if worth(record.message)]


def read_on(
    loop: FileLoop, index: int, position: Position | None, state: FileState
) -> tuple[list[bytes], Position | None, Read | None]:
    """One read of a file: its whole lines, the position after them, and what was read (None: nothing is new)."""
    read, start = files.plan(index, position, state)
    if read is None:
        return [], start, None
    lines, after = files.split(read, loop.read(read))
    return lines, after, read
