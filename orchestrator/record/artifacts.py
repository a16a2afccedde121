"""What a run left, read side: files, Ansible's output, and how each task ended.

A run may be going on: a file that is not there yet is empty, not an error. Nothing outside of the run's own
folder can be read, and nothing of any size fills the memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import RecordError

#: Bytes of one file that are read at most; a run's stdout is some kilobytes.
READ_LIMIT = 4 * 1024 * 1024
#: Files of a run that are listed at most.
FILES_LIMIT = 10_000

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


def folder_of(artifacts_dir: Path, run_id: str) -> Path:
    """The folder of a run. Raises RecordError for an id that is no plain name."""
    if not run_id or run_id.startswith(".") or "/" in run_id or "\0" in run_id:
        raise RecordError(f"{run_id!r} is no run id. Nothing was read.")
    return artifacts_dir / run_id


def files(folder: Path) -> tuple[ArtifactFile, ...]:
    """All regular files, by name; links are left out. Empty where the run left nothing."""
    found: list[ArtifactFile] = []
    for path in _walk(folder):
        if len(found) == FILES_LIMIT:
            break
        found.append(ArtifactFile(name=str(path.relative_to(folder)), size=path.stat().st_size))
    return tuple(sorted(found, key=lambda one: one.name))


def read(folder: Path, name: str, limit: int = READ_LIMIT) -> bytes:
    """The first `limit` bytes of one file.

    Raises RecordError where it is not a regular file inside the folder: `..`, absolute names and symbolic
    links lead nowhere.
    """
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
    if not (folder / "stdout").is_file():
        return ""
    return read(folder, "stdout").decode("utf-8", "replace")


def tasks(folder: Path) -> tuple[Task, ...]:
    """How each task ended, in order, as far as the run came."""
    events = folder / "job_events"
    if not events.is_dir():
        return ()
    numbered = []
    for path in events.glob("*.json"):
        counter = path.name.partition("-")[0]
        if counter.isascii() and counter.isdigit():
            numbered.append((int(counter), path.name))
    found = (_task(_event(events, name)) for _, name in sorted(numbered)[:FILES_LIMIT])
    return tuple(task for task in found if task is not None)


def _walk(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _event(folder: Path, name: str) -> Mapping[str, Any]:
    """One event; an empty one where the file is cut or odd."""
    try:
        event = json.loads(read(folder, name))
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
    )
