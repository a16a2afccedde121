"""The collector: every host followed in its own threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from orchestrator.collect import passes
from orchestrator.collect.connection import Connections
from orchestrator.collect.echo import Echoes
from orchestrator.collect.follower import HostFollower
from orchestrator.collect.journal import BY_FIELD, BY_TEXT
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor
from orchestrator.domain.records import LogRecord
from orchestrator.ports import Sink, SourceState
from orchestrator.settings import Settings

#: Seconds that `stop` waits for all threads together; a thread that is connecting ends with its time limit.
_LAST = 10.0


class SshCollector:
    """ports.Collector over SSH, and over child processes for local hosts."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self._settings, self._connections = settings, connections
        self._followers: list[HostFollower] = []

    def start(self, hosts: Sequence[Host], sink: Sink, cursor: Callable[[str, str], Cursor | None]) -> None:
        """Follow the hosts; `sink` is called from their threads, `cursor(host, source)` says where to go on."""
        self._followers = [HostFollower(host, self._connections, sink, cursor) for host in hosts]
        for follower in self._followers:
            follower.start()

    def stop(self) -> None:
        """End reading here and on the hosts; connections stay with their pool."""
        deadline = time.monotonic() + _LAST
        for follower in self._followers:
            follower.stop()
        for follower in self._followers:
            follower.join(max(0.0, deadline - time.monotonic()))

    def states(self) -> tuple[SourceState, ...]:
        """How each host is being read."""
        return tuple(follower.state() for follower in self._followers)

    def poll(self, host: Host, *, since: datetime) -> tuple[LogRecord, ...]:
        """One pass over journal and files; of files only lines that carry a time. Oldest first.

        Raises TemporaryError, HostKeyMismatch, HostAuthRefused.
        """
        link, login = self._connections.ask(host)
        begin = since.timestamp() + login.clock_offset
        found: list[LogRecord] = []
        for query in (BY_FIELD, BY_TEXT):
            found += passes.read_journal(link, login, query, since=begin).records
        found += passes.read_file_tails(link, login, since)
        return tuple(Echoes().without(sorted(found, key=lambda record: record.time)))
