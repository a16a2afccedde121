"""What a run left, read side: files, Ansible's output, and how each task ended.

A run may be going on: a file that is not there yet is empty, not an error. A finished one is a packed file by and by
(see `shelf`), and reads the same. Nothing outside of the run's own folder can be read, and nothing of any size fills
the memory.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from orchestrator.domain.runs import PACKED
from orchestrator.errors import RecordError
from orchestrator.record import entries
from orchestrator.record.details import Details, details
from orchestrator.record.entries import CHUNK, Entry, number_of, packed, whole

#: Bytes of one file that are read at most; a run's stdout is some kilobytes.
READ_LIMIT = 4 * 1024 * 1024
#: Bytes of one event that is given away whole.
EVENT_LIMIT = 256 * 1024
#: Files, or tasks, of a run that are listed at most.
FILES_LIMIT = 10_000
#: Characters of the details of all tasks that are looked at together.
DETAILS_LIMIT = 8 * 1024 * 1024

_OUTCOMES = {
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFile:
    """One file; `name` is its path inside the run's folder."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task on one host. `outcome`: ok, changed, failed, ignored, unreachable, skipped."""

    name: str
    host: str
    outcome: str
    seconds: float
    #: Ansible's message; empty where there is none.
    message: str = ""
    #: When it began on the host; None: it does not say.
    started: datetime | None = None
    details: Details = field(default_factory=Details)


def folder_of(artifacts_dir: Path, run_id: str) -> Path:
    """The folder of a run, whether or not it is packed by now. Raises RecordError for an id that is no plain name."""
    if not run_id or run_id.startswith(".") or "/" in run_id or "\0" in run_id:
        raise RecordError(f"{run_id!r} is no run id. Nothing was read.")
    return artifacts_dir / run_id


def place(folder: Path) -> Path:
    """Where a run's artifacts lie now: the folder, or the file that it became."""
    return packed(folder) if packed(folder).exists() else folder


def kept(artifacts_dir: Path) -> list[str]:
    """Ids of the runs that have artifacts, oldest first; empty where there is no such folder."""
    try:
        names = os.listdir(artifacts_dir)
    except FileNotFoundError:
        return []
    return sorted({name.removesuffix(PACKED) for name in names if not name.startswith(".")})


def files(folder: Path) -> tuple[ArtifactFile, ...]:
    """All regular files, by name; links are left out. Empty where the run left nothing."""

    def listed(found: Iterator[Entry]) -> list[ArtifactFile]:
        return [ArtifactFile(name=entry.name, size=entry.size()) for entry in islice(found, FILES_LIMIT)]

    return tuple(sorted(whole(folder, listed), key=lambda one: one.name))


def read(folder: Path, name: str, limit: int = READ_LIMIT) -> bytes:
    """The first `limit` bytes of one file.

    Raises RecordError where it is not a regular file inside the folder: `..`, absolute names and symbolic
    links lead nowhere.
    """
    if packed(folder).exists():
        found = entries.unpacked(
            folder, lambda members: [entries.head(one, limit) for one in members if one.name == name]
        )
        if not found:
            raise RecordError(f"There is no artifact {name!r} in {folder.name}.")
        return found[0]
    with entries.plain(folder, name) as source:
        return source.read(limit)


def stdout(folder: Path) -> str:
    """Ansible's own output, as far as it came."""

    def said(found: Iterator[Entry]) -> bytes:
        return next((entries.head(entry, READ_LIMIT) for entry in found if entry.name == "stdout"), b"")

    return whole(folder, said).decode("utf-8", "replace")


def archive(folder: Path) -> Iterator[bytes] | None:
    """The whole as a .tar.gz, some bytes at a time; of a run that goes on, what there is. None: there is nothing.

    Raises RecordError, also while it is read.
    """
    if packed(folder).exists():
        try:
            return _pieces(packed(folder).open("rb"))
        except OSError as error:
            raise RecordError(f"The artifacts {packed(folder)} can't be read: {error}.") from error
    return _packing(folder) if any(True for _ in entries.names(folder)) else None


def output(folder: Path) -> Iterator[bytes]:
    """Ansible's own output whole, as it came, some bytes at a time. Raises RecordError, also while it is read."""
    if not packed(folder).exists():
        return _pieces(entries.plain(folder, "stdout")) if (folder / "stdout").is_file() else iter(())
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(READ_LIMIT)  # noqa: SIM115  # closed by who reads it

    def copied(found: Iterator[Entry]) -> None:
        for entry in found:
            if entry.name == "stdout":
                shutil.copyfileobj(entry.open(), spool, CHUNK)

    entries.unpacked(folder, copied)
    spool.seek(0)
    return _pieces(spool)


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    with source:
        while piece := source.read(CHUNK):
            yield piece


def _packing(folder: Path) -> Iterator[bytes]:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w|gz") as target:
        for name in entries.names(folder):
            content = read(folder, name)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            target.addfile(member, io.BytesIO(content))
            target.members = []  # type: ignore[attr-defined]  # typeshed leaves it out
            if made.tell() >= CHUNK:
                yield made.getvalue()
                made.seek(0)
                made.truncate()
    yield made.getvalue()


def tasks(folder: Path) -> tuple[Task, ...]:
    """How each task ended, in order, as far as the run came."""

    def seen(found: Iterator[Entry]) -> list[tuple[int, Task]]:
        part = Part(0, FILES_LIMIT)
        for entry in found:
            number = number_of(entry.name)
            if number is not None and part.wants(number):
                part.add(number, event(entry))
        return part.tasks

    return tuple(task for _, task in whole(folder, seen))


def events(folder: Path, after: int, limit: int) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """Ansible's own events in order, each with its number: the first `limit` behind `after`.

    One of more than EVENT_LIMIT bytes, or that is cut, is empty.
    """

    def seen(found: Iterator[Entry]) -> list[tuple[int, Mapping[str, Any]]]:
        first: list[tuple[int, Mapping[str, Any]]] = []
        for entry in found:
            number = number_of(entry.name)
            if number is None or number <= after or (len(first) == limit and number >= first[-1][0]):
                continue
            insort(first, (number, _parsed(event(entry, EVENT_LIMIT))), key=lambda one: one[0])
            del first[limit:]
        return first

    return tuple(whole(folder, seen))


class Part:
    """The first tasks behind an event, in order, whatever the order that the events' files are looked at in."""

    def __init__(self, after: int, limit: int) -> None:
        self._after, self._limit, self._room = after, limit, DETAILS_LIMIT
        #: Each with the number of the event that tells its end.
        self.tasks: list[tuple[int, Task]] = []

    def wants(self, number: int) -> bool:
        """Whether the event of that number may belong to it: no other one needs to be read."""
        return number > self._after and (len(self.tasks) < self._limit or number < self.tasks[-1][0])

    def add(self, number: int, raw: bytes) -> None:
        """An event that it wants."""
        task = _task(_parsed(raw))
        if task is None:
            return
        if task.details.size > self._room:
            # Of a monstrous run, the rest is told without them.
            task = replace(task, details=Details())
        self._room -= task.details.size
        insort(self.tasks, (number, task), key=lambda one: one[0])
        for _, gone in self.tasks[self._limit :]:
            self._room += gone.details.size
        del self.tasks[self._limit :]


def event(entry: Entry, limit: int = READ_LIMIT) -> bytes:
    """What its file holds; empty where it is gone."""
    try:
        return entries.head(entry, limit)
    except RecordError:
        return b""


def _parsed(raw: bytes) -> Mapping[str, Any]:
    """One event; an empty one where it is cut or odd."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _task(event: Mapping[str, Any]) -> Task | None:
    kind, data = str(event.get("event", "")), event.get("event_data")
    if not isinstance(data, dict) or kind not in (*_OUTCOMES, "runner_on_ok"):
        return None
    given = data.get("res")
    result: Mapping[str, Any] = given if isinstance(given, dict) else {}
    outcome = _OUTCOMES.get(kind) or ("changed" if result.get("changed") else "ok")
    if outcome == "failed" and data.get("ignore_errors"):
        outcome = "ignored"
    seconds = data.get("duration")
    return Task(
        name=str(data.get("task", "")),
        host=str(data.get("host", "")),
        outcome=outcome,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        message=str(result.get("msg", "")),
        started=_moment(data.get("start")),
        details=details(result),
    )


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
