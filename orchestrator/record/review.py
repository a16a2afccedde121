"""What a run left, for who reviews it: a part of its tasks at a time, however many there are, read in one go."""

from __future__ import annotations

import json
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.record import artifacts, entries
from orchestrator.record.artifacts import ArtifactFile, Part, Task
from orchestrator.record.entries import Entry, number_of

#: Tasks of a part, and files that are listed.
TASKS, FILES = 1000, 500
#: Bytes of the end of Ansible's output.
OUTPUT_LIMIT = 1024 * 1024
#: What a run was asked for, and the playbooks of its action as they were (see act.workspace).
_PARAMETERS, _PLAYBOOKS = "parameters.json", "playbook/"
#: How Ansible counts what we call otherwise; what it changed, and what it failed at and ignored, is ok as well.
_COUNTED = {
    **{"changed": "changed", "failures": "failed", "rescued": "failed", "ignored": "ignored"},
    **{"dark": "unreachable", "skipped": "skipped", "ok": "ok"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a run left."""

    tasks: tuple[Task, ...] = ()
    #: Number of the event of the last task, where others follow; None: there are none.
    next: int | None = None
    #: How many events it recorded.
    events: int = 0
    #: By host, how many of all its tasks ended how, as Ansible counted them; empty while it runs.
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: By name; of very many, those that are no events.
    files: tuple[ArtifactFile, ...] = ()
    #: With those that are not listed.
    file_count: int = 0
    #: Ansible's own output; of a long one the end, and then it is `cut`.
    stdout: str = ""
    cut: bool = False
    #: The playbook's source as it was when it ran; '' where it is not among the artifacts.
    playbook: str = ""


def left(folder: Path, after: int = 0, limit: int = TASKS) -> Left:
    """With the first `limit` tasks whose events come behind number `after`. Raises RecordError."""

    def seen(found: Iterator[Entry]) -> Left:
        looked = _Looked(Part(after, limit + 1))
        for entry in found:
            looked.at(entry)
        return looked.left(limit)

    return entries.whole(folder, seen)


class _Looked:
    """What was seen up to now, all of it bounded."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._files: list[tuple[bool, str, int]] = []
        self._texts: dict[str, bytes] = {}
        self._said, self._cut = b"", False
        #: The event with the highest number, which has the sum.
        self._last, self._sum = -1, b""
        self._events = self._count = 0

    def at(self, entry: Entry) -> None:
        number = number_of(entry.name)
        self._count += 1
        self._list(entry, number is not None)
        if number is not None:
            self._events += 1
            self._event(entry, number)
        elif entry.name == "stdout":
            self._said, self._cut = entries.tail(entry, OUTPUT_LIMIT)
        elif entry.name == _PARAMETERS or entry.name.startswith(_PLAYBOOKS):
            self._texts[entry.name] = entries.head(entry, artifacts.READ_LIMIT)

    def _list(self, entry: Entry, is_event: bool) -> None:  # where it is sorted
        place = (is_event, entry.name)
        if len(self._files) < FILES or place < self._files[-1][:2]:
            insort(self._files, (*place, entry.size()))
            del self._files[FILES:]

    def _event(self, entry: Entry, number: int) -> None:
        wanted, later = self._part.wants(number), number > self._last
        raw = artifacts.event(entry) if wanted or later else b""
        if wanted:
            self._part.add(number, raw)
        if later:
            self._last, self._sum = number, raw

    def left(self, limit: int) -> Left:
        tasks = self._part.tasks
        files = sorted((name, size) for _, name, size in self._files)
        playbook = self._texts.get(_PLAYBOOKS + _playbook(self._texts.get(_PARAMETERS, b"")), b"")
        return Left(
            tasks=tuple(task for _, task in tasks[:limit]),
            next=tasks[limit - 1][0] if len(tasks) > limit else None,
            events=self._events,
            counts=_counts(self._sum),
            files=tuple(ArtifactFile(name=name, size=size) for name, size in files),
            file_count=self._count,
            stdout=self._said.decode("utf-8", "replace"),
            cut=self._cut,
            playbook=playbook.decode("utf-8", "replace"),
        )


def _counts(last: bytes) -> dict[str, Counter[str]]:
    """Of the event that a playbook ends with; empty for any other."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        event = json.loads(last)
        data: Any = event["event_data"] if event["event"] == "playbook_on_stats" else {}
        for name, word in _COUNTED.items():
            for host, number in data.get(name, {}).items():
                counted[str(host)][word] += int(number)
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    for found in counted.values():
        found["ok"] -= found["changed"] + found["ignored"]
    return {host: +found for host, found in counted.items()}


def _playbook(parameters: bytes) -> str:
    """The name of the playbook that was run; '' where it does not say."""
    try:
        return str(json.loads(parameters)["playbook"])
    except (ValueError, LookupError, TypeError):
        return ""
