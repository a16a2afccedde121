"""One living connection a host, and what was learned through it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.collect.link import Link
from orchestrator.collect.login import Login, learn
from orchestrator.domain.hosts import Host
from orchestrator.errors import HealingError, HostUnreachable
from orchestrator.settings import Settings

#: Seconds for which what was learned of a login counts; clocks drift, and groups and sudo rules change.
_FRESH = 300.0


class Pool:
    """Connections by host name, made when they are first asked for. Safe from several threads."""

    def __init__(self, settings: Settings, connect: Callable[[Host, Settings], Link]) -> None:
        self.settings = settings
        self._connect = connect
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._links: dict[str, Link] = {}
        self._logins: dict[str, tuple[Link, Login, float]] = {}
        #: The last attempt that failed, and when it had.
        self._failed: dict[str, tuple[Host, float, HealingError]] = {}
        self._closed = False

    def get(self, host: Host) -> Link:
        """The host's connection, made anew where it is gone or was made for other connection variables.

        Raises HostUnreachable, HostTimeout, HostKeyMismatch, HostAuthRefused, ConfigError.
        """
        with self._guard:
            lock = self._locks.setdefault(host.name, threading.Lock())
        asked = time.monotonic()
        with lock:
            link = self._links.get(host.name)
            # The connection variables and the files: both are what a link was made for.
            if link is not None and link.alive and link.host == host:
                return link
            if link is not None:
                link.close()
            if self._closed:
                raise HostUnreachable(f"{host.name}: healing-bot is shutting down.")
            failed = self._failed.get(host.name)
            if failed is not None and failed[0] == host and failed[1] > asked:
                # While we waited for our turn: a host that hangs takes its time, and would say the same again.
                raise type(failed[2])(*failed[2].args)
            link = self._links[host.name] = self._dial(host)
            if self._closed:
                # Meanwhile; `close` may have passed this host by.
                link.close()
            return link

    def _dial(self, host: Host) -> Link:
        try:
            return self._connect(host, self.settings)
        except HealingError as error:
            self._failed[host.name] = (host, time.monotonic(), error)
            raise

    def ask(self, host: Host, *, fresh: bool = False) -> tuple[Link, Login]:
        """The connection, and what the host says of our login, at most five minutes old. Raises as `get`."""
        link = self.get(host)
        known = self._logins.get(host.name)
        if not fresh and known is not None and known[0] is link and time.monotonic() - known[2] < _FRESH:
            return link, known[1]
        login = learn(link)
        self._logins[host.name] = (link, login, time.monotonic())
        return link, login

    def close(self) -> None:
        """End every connection; none is made any more."""
        self._closed = True
        with self._guard:
            links = list(self._links.values())
        for link in links:
            link.close()
