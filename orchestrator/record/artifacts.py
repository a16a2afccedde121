"""What a run left, read side: files, Ansible's output, and how each task ended.

A run may be going on: a file that is not there yet is empty, not an error. A finished one is a packed file by and by
(see `shelf`), and reads the same. Nothing outside of the run's own folder can be read, and nothing of any size fills
the memory.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zlib
from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.domain.runs import PACKED
from orchestrator.errors import RecordError
from orchestrator.record.details import Details, details

#: Bytes of one file that are read at most; a run's stdout is some kilobytes.
READ_LIMIT = 4 * 1024 * 1024
#: Bytes of one event that is given away whole.
EVENT_LIMIT = 256 * 1024
#: Files of a run that are listed at most.
FILES_LIMIT = 10_000
#: Characters of all tasks' details of one run.
DETAILS_LIMIT = 8 * 1024 * 1024
_CHUNK = 64 * 1024
#: What a run was asked for, and the playbooks of its action as they were (see act.workspace).
_PARAMETERS, _PLAYBOOKS = "parameters.json", "playbook/"

_Seen = TypeVar("_Seen")

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a run left, for who reviews it."""

    tasks: tuple[Task, ...]
    files: tuple[ArtifactFile, ...]
    #: Ansible's own output.
    stdout: str
    #: The playbook's source as it was when it ran; '' where it is not among the artifacts.
    playbook: str


def folder_of(artifacts_dir: Path, run_id: str) -> Path:
    """The folder of a run, whether or not it is packed by now. Raises RecordError for an id that is no plain name."""
    if not run_id or run_id.startswith(".") or "/" in run_id or "\0" in run_id:
        raise RecordError(f"{run_id!r} is no run id. Nothing was read.")
    return artifacts_dir / run_id


def packed(folder: Path) -> Path:
    """The file that a finished run's folder becomes."""
    return folder.with_name(folder.name + PACKED)


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

    def listed(entries: Iterator[_Entry]) -> list[ArtifactFile]:
        return [ArtifactFile(name=entry.name, size=entry.size) for entry in islice(entries, FILES_LIMIT)]

    return tuple(sorted(_whole(folder, listed), key=lambda one: one.name))


def read(folder: Path, name: str, limit: int = READ_LIMIT) -> bytes:
    """The first `limit` bytes of one file.

    Raises RecordError where it is not a regular file inside the folder: `..`, absolute names and symbolic
    links lead nowhere.
    """
    if packed(folder).exists():
        found = _unpacked(folder, lambda entries: [one.read(limit) for one in entries if one.name == name])
        if not found:
            raise RecordError(f"There is no artifact {name!r} in {folder.name}.")
        return found[0]
    path = folder / name
    try:
        inside = path.parent.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
        if not inside or not path.is_file():
            raise RecordError(f"There is no artifact {name!r} in {folder.name}.")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source:
            return source.read(limit)
    except (OSError, ValueError) as error:
        raise RecordError(f"The artifact {name!r} of {folder.name} can't be read: {error}.") from error


def stdout(folder: Path) -> str:
    """Ansible's own output, as far as it came."""

    def said(entries: Iterator[_Entry]) -> bytes:
        return next((entry.read(READ_LIMIT) for entry in entries if entry.name == "stdout"), b"")

    return _whole(folder, said).decode("utf-8", "replace")


def archive(folder: Path) -> Iterator[bytes]:
    """The whole as a .tar.gz, some bytes at a time; of a run that goes on, what there is. Raises RecordError."""
    if packed(folder).exists():
        try:
            with packed(folder).open("rb") as source:
                yield from iter(partial(source.read, _CHUNK), b"")
        except OSError as error:
            raise RecordError(f"The artifacts {packed(folder)} can't be read: {error}.") from error
        return
    made = io.BytesIO()

    def taken() -> bytes:
        piece = made.getvalue()
        made.seek(0)
        made.truncate()
        return piece

    with tarfile.open(fileobj=made, mode="w|gz") as whole:
        for entry in _loose(folder):
            content = entry.read(READ_LIMIT)
            member = tarfile.TarInfo(entry.name)
            member.size, member.mode = len(content), 0o600
            whole.addfile(member, io.BytesIO(content))
            yield taken()
    yield taken()


def tasks(folder: Path) -> tuple[Task, ...]:
    """How each task ended, in order, as far as the run came."""
    return _in_order(_whole(folder, lambda entries: [one for entry in entries if (one := _numbered(entry))]))


def events(folder: Path, after: int, limit: int) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """Ansible's own events in order, each with its number: the first `limit` behind `after`.

    One of more than EVENT_LIMIT bytes, or that is cut, is empty.
    """

    def seen(entries: Iterator[_Entry]) -> list[tuple[int, Mapping[str, Any]]]:
        first: list[tuple[int, Mapping[str, Any]]] = []
        for entry in entries:
            number = _counter(entry.name)
            if number is None or number <= after or (len(first) == limit and number >= first[-1][0]):
                continue
            insort(first, (number, _event(entry, EVENT_LIMIT)), key=lambda one: one[0])
            del first[limit:]
        return first

    return tuple(_whole(folder, seen))


def left(folder: Path) -> Left:
    """All of it that a person looks at, read in one go."""

    def seen(entries: Iterator[_Entry]) -> Left:
        found: list[ArtifactFile] = []
        numbered: list[tuple[int, Task]] = []
        texts: dict[str, bytes] = {}
        kept_for = DETAILS_LIMIT
        for entry in entries:
            if len(found) < FILES_LIMIT:
                found.append(ArtifactFile(name=entry.name, size=entry.size))
            if entry.name in ("stdout", _PARAMETERS) or entry.name.startswith(_PLAYBOOKS):
                texts[entry.name] = entry.read(READ_LIMIT)
            elif (task := _numbered(entry)) is not None:
                kept_for -= task[1].details.size
                # Of a monstrous run, the rest is told without them.
                numbered.append(task if kept_for > 0 else (task[0], replace(task[1], details=Details())))
        return Left(
            tasks=_in_order(numbered),
            files=tuple(sorted(found, key=lambda one: one.name)),
            stdout=texts.get("stdout", b"").decode("utf-8", "replace"),
            playbook=texts.get(_PLAYBOOKS + _playbook(texts.get(_PARAMETERS, b"")), b"").decode("utf-8", "replace"),
        )

    return _whole(folder, seen)


def _playbook(parameters: bytes) -> str:
    """The name of the playbook that was run; '' where it does not say."""
    try:
        return str(json.loads(parameters)["playbook"])
    except (ValueError, LookupError, TypeError):
        return ""


def _in_order(numbered: list[tuple[int, Task]]) -> tuple[Task, ...]:
    return tuple(task for _, task in sorted(numbered, key=lambda one: one[0])[:FILES_LIMIT])


def _numbered(entry: _Entry) -> tuple[int, Task] | None:
    """The task that an event's file tells the end of, with the event's number; None for any other file."""
    number = _counter(entry.name)
    task = None if number is None else _task(_event(entry))
    return None if task is None or number is None else (number, task)


def _counter(path: str) -> int | None:
    """The number of the event that a file holds."""
    where, _, name = path.rpartition("/")
    counter = name.partition("-")[0]
    is_event = where == "job_events" and name.endswith(".json") and counter.isascii() and counter.isdigit()
    return int(counter) if is_event and len(counter) < 19 else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One regular file, wherever it lies; to be read before the next one is asked for."""

    name: str
    size: int
    read: Callable[[int], bytes]


def _whole(folder: Path, look: Callable[[Iterator[_Entry]], _Seen]) -> _Seen:
    """What is seen in a run's artifacts; again, where its folder became a file meanwhile."""
    if not packed(folder).exists():
        try:
            seen = look(_loose(folder))
        except RecordError:
            if not packed(folder).exists():
                raise
        else:
            if not packed(folder).exists():
                return seen
    return _unpacked(folder, look)


def _loose(folder: Path) -> Iterator[_Entry]:
    for path in regular(folder):
        name = str(path.relative_to(folder))
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            continue
        yield _Entry(name, size, partial(read, folder, name))


def _unpacked(folder: Path, look: Callable[[Iterator[_Entry]], _Seen]) -> _Seen:
    try:
        with gzip.open(packed(folder)) as whole, tarfile.open(fileobj=whole, mode="r|") as archive:
            seen = look(_members(archive))
            # To the end, where the checksum is.
            while whole.read(_CHUNK):
                pass
            return seen
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise RecordError(f"The artifacts {packed(folder)} can't be read: {error}.") from error


def _members(archive: tarfile.TarFile) -> Iterator[_Entry]:
    for member in archive:
        source = archive.extractfile(member) if member.isreg() else None
        if source is not None:
            yield _Entry(member.name, member.size, source.read)


def regular(folder: Path) -> Iterator[Path]:
    """Every regular file below, links left out."""
    for root, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _event(entry: _Entry, limit: int = READ_LIMIT) -> Mapping[str, Any]:
    """One event; an empty one where the file is cut or odd."""
    try:
        event = json.loads(entry.read(limit))
    except (ValueError, RecordError):
        return {}
    return event if isinstance(event, dict) else {}


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
