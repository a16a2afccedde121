"""What a reader thread does: follow one query of the journal, or all log files, until its stream ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.collect import journal
from orchestrator.collect.delivery import Delivery
from orchestrator.collect.fileloop import FileLoop, open_loop, problem_of, read_on, records_of
from orchestrator.collect.files import Position, position_of
from orchestrator.collect.journal import CursorRefused, Query
from orchestrator.collect.limits import BYTES_A_SECOND, BYTES_AT_ONCE, Bucket, Lines
from orchestrator.collect.link import Link, Stream
from orchestrator.collect.login import Login
from orchestrator.domain.ids import Cursor
from orchestrator.errors import HostUnreachable

#: Seconds between two looks at log files.
FILE_PERIOD = 1.0
#: Seconds that a throttled reader may be behind before it gives the backlog up: twice the age at which policy refuses.
MOST_BEHIND = 600.0
#: Seconds of the past that are read at first contact, and after a backlog was given up.
FIRST_LOOK = 300.0
#: Reads of one file in one look, so that a flooded one does not starve the others.
_READS = 4

Stored = Callable[[str], Cursor | None]


class TooFarBehind(HostUnreachable):
    """A flood: what is unread is too old to act on."""


class JournalReader:
    """Follows one of the two queries."""

    def __init__(self, link: Link, login: Login, query: Query, delivery: Delivery, stopping: threading.Event) -> None:
        self._link, self._login, self._query = link, login, query
        self._delivery, self._stopping = delivery, stopping
        self._stream: Stream | None = None
        self._after: Cursor | None = None
        self.name = query.source
        self.cut = 0

    def open(self, after: Cursor) -> None:
        """Start journalctl behind the cursor. Raises HostUnreachable, HostTimeout."""
        self._after = after
        command = journal.build_command(self._query, after=after, follow=True, grep=self._login.grep)
        # `exit`, or the shell would wait for more of its script, and a journalctl that ended would look like silence.
        self._stream = self._link.open(f"exec 2>&1; {command}; exit", root=self._login.journal_root)

    def run(self) -> None:
        """Read until the end, an error always: HostUnreachable, TooFarBehind, or what the sink raises."""
        assert self._stream is not None  # noqa: S101  # opened first
        lines, said = Lines(), b""
        pace = Bucket(rate=BYTES_A_SECOND, burst=BYTES_AT_ONCE, now=time.monotonic)
        while data := self._stream.read():
            whole = lines.feed(data)
            self.cut = lines.cut
            said = next((line for line in reversed(whole) if not line.startswith(b"{")), said)
            self._take(journal.beyond(whole, self._after), throttled=(wait := pace.spend(len(data))) > 0)
            if wait and self._stopping.wait(wait):
                return
        words = said.decode("utf-8", "replace").strip()[:200]
        kind = CursorRefused if journal.refused(words) else HostUnreachable
        raise kind(f"{self._link.host.name}: following the journal ended: {words or 'the connection broke'}.")

    def _take(self, lines: list[bytes], *, throttled: bool) -> None:
        parsed = (journal.parse(line, self._link.host.name, self._login, self._query) for line in lines)
        records = [record for record in parsed if record is not None]
        cursors = (journal.cursor_of(line) for line in reversed(lines))
        self._delivery.deliver(self._query.source, records, next((one for one in cursors if one is not None), None))
        if throttled and records and time.time() - records[-1].time.timestamp() > MOST_BEHIND:
            raise TooFarBehind(
                f"{self._link.host.name} writes errors faster than they can be read: what is unread is passed over."
            )

    def close(self) -> None:
        """End it, here and on the host."""
        if self._stream is not None:
            self._stream.close()


class FileReader:
    """Follows all log files of a host."""

    name = "files"

    def __init__(self, link: Link, login: Login, delivery: Delivery, stopping: threading.Event) -> None:
        self._link, self._login, self._delivery, self._stopping = link, login, delivery, stopping
        self._positions: dict[int, Position | None] = {}
        self._loop: FileLoop | None = None
        self.problems: tuple[str, ...] = ()
        self.skipped = 0

    def open(self, stored: Stored) -> None:
        """Start the loop behind the stored positions. Raises HostUnreachable, HostTimeout."""
        self._loop, _ = open_loop(self._link, self._login)
        for index, file in enumerate(self._link.host.log_files):
            self._positions[index] = position_of(stored(file.path))

    def run(self) -> None:
        """Look once a second until stopped. Raises HostUnreachable, HostTimeout, or what the sink raises."""
        assert self._loop is not None  # noqa: S101  # opened first
        pace = Bucket(rate=BYTES_A_SECOND, burst=BYTES_AT_ONCE, now=time.monotonic)
        while True:
            busy = self._look(self._loop, pace)
            if self._stopping.wait(0 if busy else FILE_PERIOD):
                return

    def _look(self, loop: FileLoop, pace: Bucket) -> bool:
        """One look at every file; whether one of them has more."""
        states, problems, busy = loop.states(), [], False
        for index, file in enumerate(self._link.host.log_files):
            state = states[index]
            problems.append(problem_of(file, state, self._login))
            for number in range(_READS):
                before = self._positions[index]
                lines, after, read = read_on(loop, index, before, state)
                records = records_of(lines, host=self._link.host, file=file, state=state, login=self._login)
                if after is not None and after != before:
                    self._delivery.deliver(file.path, records, after.cursor(), now=before is None)
                self._positions[index] = after
                if read is None or after == read.old:
                    break
                self.skipped += read.skipped
                self._stopping.wait(pace.spend(read.count))
                busy = busy or number == _READS - 1
        if self.skipped:
            problems.append(f"dropped {self.skipped} bytes of log files: they grow faster than they can be read.")
        self.problems = tuple(problem for problem in problems if problem)
        return busy

    def close(self) -> None:
        """End it, here and on the host."""
        if self._loop is not None:
            self._loop.close()
