"""The artifacts of finished runs on disk: packed after a while, removed when their time is over.

A run's folder has some 36 small files, which take 190 KB of disk; packed they are one file of 15 KB (measured). A
crash at any instant leaves them readable, and what it left half done is finished by the next call.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from orchestrator.domain.runs import PACKED
from orchestrator.record.entries import packed, regular

_DRAFT = f"{PACKED}.part"
#: How the name of what is being removed ends: it stays, empty, until the store knows.
_GONE = ".gone"
_BLOCK = 512


class Shelf:
    """One folder of artifacts. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unpacked(self) -> list[str]:
        """Ids of the runs that still have a folder, oldest first."""
        return sorted(name for name in self._names() if not name.startswith(".") and not name.endswith(PACKED))

    def sizes(self) -> dict[str, int]:
        """Bytes of disk of each run, oldest first."""
        taken: dict[str, int] = {}
        for name in sorted(self._names()):
            if not name.startswith("."):
                run_id, path = name.removesuffix(PACKED), self._folder / name
                taken[run_id] = taken.get(run_id, 0) + (_taken(path) if name.endswith(PACKED) else _below(path))
        return taken

    def pack(self, run_id: str) -> None:
        """Make one file of the folder, which goes once that is safe on disk."""
        folder = self._folder / run_id
        if not packed(folder).exists():
            draft = self._folder / f".{run_id}{_DRAFT}"
            try:
                self._write(folder, draft)
                draft.rename(packed(folder))
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            _sync(self._folder)
        shutil.rmtree(folder)

    @staticmethod
    def _write(folder: Path, draft: Path) -> None:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            with tarfile.open(fileobj=target, mode="w:gz") as archive:
                for path in sorted(regular(folder)):
                    archive.add(path, arcname=str(path.relative_to(folder)), recursive=False)
            target.flush()
            os.fsync(target.fileno())

    def clear(self, run_ids: Iterable[str]) -> None:
        """Remove what the runs left, but for an empty mark each that `cleared` lists. Needs no room."""
        for run_id in run_ids:
            folder, mark = self._folder / run_id, self._mark(run_id)
            if packed(folder).exists():
                shutil.rmtree(folder, ignore_errors=True)
                packed(folder).rename(mark)
            else:
                folder.rename(mark)
            _empty(mark)

    def cleared(self) -> list[str]:
        """Ids of the runs whose mark is still there, and emptied."""
        found = sorted(name[1:].removesuffix(_GONE) for name in self._names() if name.endswith(_GONE))
        for run_id in found:
            _empty(self._mark(run_id))
        return found

    def forget(self, run_ids: Iterable[str]) -> None:
        """Remove the marks: the store knows."""
        for run_id in run_ids:
            mark = self._mark(run_id)
            mark.rmdir() if mark.is_dir() else mark.unlink(missing_ok=True)

    def drop_drafts(self) -> None:
        """What a crash left of packing."""
        for name in self._names():
            if name.startswith(".") and name.endswith(_DRAFT):
                (self._folder / name).unlink(missing_ok=True)

    def _mark(self, run_id: str) -> Path:
        return self._folder / f".{run_id}{_GONE}"

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return []


def _taken(path: Path) -> int:
    try:
        return path.lstat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def _below(folder: Path) -> int:
    return sum(
        _taken(Path(root)) + sum(_taken(Path(root) / name) for name in names) for root, _, names in os.walk(folder)
    )


def _empty(mark: Path) -> None:
    if not mark.is_dir():
        os.truncate(mark, 0)
        return
    for child in mark.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
