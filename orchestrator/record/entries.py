"""The regular files of a run, in its folder or packed, one after another: nothing of any size fills the memory."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol, TypeVar

from orchestrator.domain.runs import PACKED
from orchestrator.errors import RecordError

#: Bytes that are read at a time.
CHUNK = 64 * 1024

_Seen = TypeVar("_Seen")


class Entry(Protocol):
    """One regular file, wherever it lies; to be looked at before the next one is asked for."""

    #: Its path inside the run's folder.
    name: str

    def size(self) -> int: ...
    def open(self) -> IO[bytes]:
        """Raises RecordError where it is gone or is no plain file inside the folder."""
        ...


def packed(folder: Path) -> Path:
    """The file that a finished run's folder becomes."""
    return folder.with_name(folder.name + PACKED)


def number_of(path: str) -> int | None:
    """The number of the event that a file holds; None for any other file."""
    where, _, name = path.rpartition("/")
    counter = name.partition("-")[0]
    is_event = where == "job_events" and name.endswith(".json") and counter.isascii() and counter.isdigit()
    return int(counter) if is_event and len(counter) < 19 else None


def whole(folder: Path, look: Callable[[Iterator[Entry]], _Seen]) -> _Seen:
    """What is seen in a run's artifacts; again, where its folder became a file meanwhile. Raises RecordError.

    Of a folder, the events come in their order, but for the last one, which has the sum and comes before them.
    """
    if not packed(folder).exists():
        try:
            seen = look(_loose(folder))
        except RecordError:
            if not packed(folder).exists():
                raise
        else:
            if not packed(folder).exists():
                return seen
    return unpacked(folder, look)


def unpacked(folder: Path, look: Callable[[Iterator[Entry]], _Seen]) -> _Seen:
    """The same of one that is packed."""
    try:
        with gzip.open(packed(folder)) as content, tarfile.open(fileobj=content, mode="r|") as archive:
            seen = look(_members(archive))
            # To the end, where the checksum is.
            while content.read(CHUNK):
                pass
            return seen
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise RecordError(f"The artifacts {packed(folder)} can't be read: {error}.") from error


def regular(folder: Path) -> Iterator[Path]:
    """Every regular file below, links left out."""
    return (folder / name for name in names(folder))


def names(folder: Path, below: str = "") -> Iterator[str]:
    """Their paths inside the folder, in no order. What is not there has none."""
    try:
        found = os.scandir(folder / below)
    except (FileNotFoundError, NotADirectoryError):
        return
    with found:
        for one in found:
            if one.is_dir(follow_symlinks=False):
                yield from names(folder, f"{below}{one.name}/")
            elif one.is_file(follow_symlinks=False):
                yield f"{below}{one.name}"


def plain(folder: Path, name: str) -> IO[bytes]:
    """One file to be read. Raises RecordError where it is not a regular file inside the folder."""
    path = folder / name
    try:
        inside = path.parent.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
        if not inside or not path.is_file():
            raise RecordError(f"There is no artifact {name!r} in {folder.name}.")
        return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except (OSError, ValueError) as error:
        raise RecordError(f"The artifact {name!r} of {folder.name} can't be read: {error}.") from error


def head(entry: Entry, limit: int) -> bytes:
    """The first bytes."""
    with entry.open() as source:
        return source.read(limit)


def tail(entry: Entry, limit: int) -> tuple[bytes, bool]:
    """The last bytes, to a chunk, and whether there are others before them."""
    kept: deque[bytes] = deque(maxlen=max(1, limit // CHUNK))
    read = 0
    with entry.open() as source:
        while piece := source.read(CHUNK):
            kept.append(piece)
            read += len(piece)
    found = b"".join(kept)
    return found, read > len(found)


class _Loose:
    __slots__ = ("_folder", "name")

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.name = folder, name

    def size(self) -> int:
        try:
            return (self._folder / self.name).stat().st_size
        except FileNotFoundError:
            return 0

    def open(self) -> IO[bytes]:
        return plain(self._folder, self.name)


class _Member:
    __slots__ = ("_size", "_source", "name")

    def __init__(self, name: str, size: int, source: IO[bytes]) -> None:
        self.name, self._size, self._source = name, size, source

    def size(self) -> int:
        return self._size

    def open(self) -> IO[bytes]:
        return self._source


def _loose(folder: Path) -> Iterator[Entry]:
    numbered: list[tuple[int, str]] = []
    for name in names(folder):
        number = number_of(name)
        if number is None:
            yield _Loose(folder, name)
        else:
            numbered.append((number, name))
    numbered.sort()
    for _, name in (*numbered[-1:], *numbered[:-1]):
        yield _Loose(folder, name)


def _members(archive: tarfile.TarFile) -> Iterator[Entry]:
    while (member := archive.next()) is not None:
        # It keeps every one for a second look, which a stream never has.
        archive.members = []  # type: ignore[attr-defined]  # typeshed leaves it out
        source = archive.extractfile(member) if member.isreg() else None
        if source is not None:
            yield _Member(member.name, member.size, source)
