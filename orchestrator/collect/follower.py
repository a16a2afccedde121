"""One host being followed: connect, read, and after any failure again, without end until it is stopped."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.collect import passes
from orchestrator.collect.connection import Connections
from orchestrator.collect.delivery import Delivery
from orchestrator.collect.journal import BY_FIELD, BY_TEXT, CursorRefused, from_time
from orchestrator.collect.link import Link
from orchestrator.collect.login import Login, Offset, clock_offset
from orchestrator.collect.readers import FIRST_LOOK, FileReader, JournalReader, TooFarBehind
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.errors import HealingError, HostUnreachable, PermanentError
from orchestrator.ports import Sink, SourceState

log = logging.getLogger("healing.collect")

#: Seconds between attempts: the first, and the longest; each is made shorter by up to half, at random.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
#: Seconds between looks whether the host still answers; it also measures its clock again.
_HEARTBEAT = 60.0
#: A session that lasted for this long was a good one: waiting begins from the start.
_GOOD = 30.0
#: Sessions that the host cut short, one after the other, before its journal is polled instead.
_CUT_SHORT = 3

Reader = JournalReader | FileReader


class HostFollower:
    """The threads of one host. A host that is down, slow or hostile has only these."""

    def __init__(
        self, host: Host, connections: Connections, sink: Sink, cursor: Callable[[str, str], Cursor | None]
    ) -> None:
        self._host, self._connections, self._cursor = host, connections, cursor
        self._delivery = Delivery(host, sink)
        self._stopping, self._broken = threading.Event(), threading.Event()
        self._error: HealingError | None = None
        self._readers: tuple[Reader, ...] = ()
        self._state, self._reason = "connecting", ""
        self._clock: Offset | None = None
        self._problems: tuple[str, ...] = ()
        #: Sources that begin anew instead of at their stored cursor, which the journal refused or a flood left behind.
        self._anew: set[str] = set()
        self._cut_short = self._left_behind = 0
        self._thread = threading.Thread(target=self._run, name=f"follow {host.name}", daemon=True)

    def start(self) -> None:
        """Begin, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits."""
        self._stopping.set()
        self._broken.set()
        for reader in self._readers:
            reader.close()

    def join(self, timeout: float) -> None:
        """Wait for its end for at most `timeout` seconds."""
        self._thread.join(timeout)
        self._state = "stopped"

    def state(self) -> SourceState:
        """How the host is being read."""
        found = list(self._problems)
        if self._left_behind:
            found.append(
                f"passed over a backlog of the journal {self._left_behind} times: it grows faster than it is read."
            )
        for reader in self._readers:
            if isinstance(reader, FileReader):
                found += reader.problems
            elif reader.cut:
                found.append(f"dropped {reader.cut} lines of the journal that had no end.")
        return SourceState(
            host=self._host.name,
            state=self._state,
            reason=self._reason,
            clock_offset=None if self._clock is None else self._clock.seconds(),
            last_record=self._delivery.last_record,
            problems=(*found, *self._delivery.problems()),
        )

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self._session()
                longest = False
            except HealingError as error:
                self._fail(error)
                if isinstance(error, CursorRefused | TooFarBehind):
                    # Both: where one is refused the other's place is gone too, and each would end the other's reading.
                    self._anew |= {BY_FIELD.source, BY_TEXT.source}
                self._left_behind += isinstance(error, TooFarBehind)
                # A refused login or key is no passing trouble, and asking often looks like an attack.
                longest = isinstance(error, PermanentError)
            except Exception as error:  # a dead thread would be a silent host: tell, and go on
                log.exception("following %s", self._host.name)
                self._fail(HostUnreachable(f"{self._host.name}: internal error while reading: {error!r}"))
                longest = False
            good = time.monotonic() - begun > _GOOD
            wait = _LONGEST_WAIT if longest else _FIRST_WAIT if good else min(_LONGEST_WAIT, wait * 2)
            self._stopping.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311  # spreads load, hides nothing

    def _fail(self, error: HealingError) -> None:
        if self._stopping.is_set():
            return
        if self._reason != str(error):
            log.warning("%s", error)
        self._state, self._reason = "down", str(error)

    def _session(self) -> None:
        """Connect and read until something ends it. Raises HealingError."""
        link, login = self._connections.ask(self._host, fresh=True)
        self._clock = login.clock
        problem = passes.journal_problem(self._host.name, login)
        self._problems = (problem,) if problem else ()
        self._delivery.restart()
        self._broken.clear()
        self._error = None
        if self._stopping.is_set():
            return
        if self._cut_short >= _CUT_SHORT:
            self._poll(link, login)
            return
        begun = time.monotonic()
        try:
            with self._reading(link, login, journal=not problem) as reading:
                self._state, self._reason = ("connected", "") if reading else ("polling", problem)
                self._watch(link)
        except HostUnreachable:
            # The connection stands, but what was started on it did not last: following is what fails.
            short = link.alive and time.monotonic() - begun < _GOOD and not self._stopping.is_set()
            self._cut_short = self._cut_short + 1 if short else 0
            raise

    @contextmanager
    def _reading(self, link: Link, login: Login, *, journal: bool) -> Iterator[bool]:
        """Readers in their threads; yields whether there are any."""
        readers: list[Reader] = []
        threads: list[threading.Thread] = []
        try:
            for query in (BY_FIELD, BY_TEXT) if journal else ():
                reader = JournalReader(link, login, query, self._delivery, self._stopping)
                readers.append(reader)
                reader.open(self._begin(query.source, login))
            if self._host.log_files:
                files = FileReader(link, login, self._delivery, self._stopping)
                readers.append(files)
                files.open(lambda source: self._cursor(self._host.name, source))
            self._readers = tuple(readers)
            for one in readers:
                name = f"read {self._host.name} {one.name}"
                threads.append(threading.Thread(target=self._read, args=(one,), name=name, daemon=True))
                threads[-1].start()
            yield bool(readers)
        finally:
            for one in readers:
                one.close()
            for thread in threads:
                thread.join(timeout=5)

    def _begin(self, source: str, login: Login) -> Cursor:
        """The stored cursor, unless the source begins anew this once; where there is none, one is stored."""
        known = None if source in self._anew else self._cursor(self._host.name, source)
        self._anew.discard(source)
        if known is not None:
            return known
        first = from_time(time.time() + login.clock_offset - FIRST_LOOK)
        self._delivery.deliver(source, (), first, now=True)
        return first

    def _read(self, reader: Reader) -> None:
        try:
            reader.run()
        except HealingError as error:
            self._error = self._error or error
        except Exception as error:  # as in _run
            log.exception("reading %s of %s", reader.name, self._host.name)
            self._error = HostUnreachable(f"{self._host.name}: internal error while reading: {error!r}")
        finally:
            self._broken.set()

    def _watch(self, link: Link) -> None:
        """Wait until a reader ends or the host stops answering. Raises what ended it."""
        period = _HEARTBEAT if self._readers else self._connections.settings.poll_seconds
        while not self._broken.wait(period):
            if not self._readers:
                # There is nothing that may be read: a new login sees whether that was put right.
                link.close()
                return
            try:
                self._clock = clock_offset(link)
            except HealingError:
                # It hangs: a new connection is the only way to know.
                link.close()
                raise
        if self._error is not None and not self._stopping.is_set():
            raise self._error

    def _poll(self, link: Link, login: Login) -> None:
        """Read the journal every `poll_seconds`; log files are followed by asking anyway."""
        self._state = "polling"
        self._reason = f"{self._host.name} does not let its journal be followed: it is read now and then."
        with self._reading(link, login, journal=False):
            for _ in range(10):
                for query in (BY_FIELD, BY_TEXT):
                    batch = passes.read_journal(link, login, query, after=self._begin(query.source, login))
                    self._delivery.deliver(query.source, batch.records, batch.cursor, now=batch.cursor is not None)
                if self._broken.wait(self._connections.settings.poll_seconds):
                    break
        # Maybe it can be followed by now.
        self._cut_short = 0
