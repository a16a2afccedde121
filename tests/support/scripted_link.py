"""A link to a host that is a table: what it answers is given, nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from orchestrator.collect.link import Answer
from orchestrator.domain.hosts import Connection, Host, LogFile
from orchestrator.errors import HostTimeout

HOST = Host(name="web1", groups=(), connection=Connection(kind="ssh", address="web1"))


def host_with(*paths: str) -> Host:
    return Host(
        name="web1",
        groups=(),
        connection=HOST.connection,
        log_files=tuple(LogFile(path=path, unit="shop.service") for path in paths),
    )


class ScriptedStream:
    """Says its parts one by one, then ends; `silent`: then says nothing more."""

    def __init__(self, parts: Iterable[bytes] = (), *, silent: bool = False) -> None:
        self._parts: Iterator[bytes] = iter(parts)
        self._silent = silent
        self.written = b""
        self.closed = False

    def read(self, timeout: float | None = None) -> bytes:
        part = next(self._parts, b"")
        if not part and self._silent:
            raise HostTimeout("web1 said nothing")
        return part

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


class ScriptedLink:
    """Answers each script by `answers`, and opens the given streams in turn."""

    def __init__(
        self,
        host: Host = HOST,
        *,
        answers: Callable[[str], bytes] = lambda script: b"",
        streams: Iterable[ScriptedStream] = (),
    ) -> None:
        self._host, self._answers, self._streams = host, answers, iter(streams)
        self.alive = True
        self.scripts: list[tuple[str, bool]] = []

    @property
    def host(self) -> Host:
        return self._host

    def run(self, script: str, *, root: bool = False, timeout: float = 30.0) -> Answer:
        self.scripts.append((script, root))
        return Answer(code=0, out=self._answers(script), err=b"")

    def open(self, script: str, *, root: bool = False) -> ScriptedStream:
        self.scripts.append((script, root))
        return next(self._streams)

    def close(self) -> None:
        self.alive = False
