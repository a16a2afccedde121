"""Keeps a run's events: the playbook's reader only enqueues, one thread writes. No secret gets through."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.act.order import write_text

#: What stands in the record where a secret stood.
BLACKED = "***"


class Recorder:
    """Writes events to `folder/job_events` as they come, each file complete or absent."""

    def __init__(self, folder: Path, secrets: Sequence[str]) -> None:
        self._folder = folder
        self._secrets = tuple(secrets)
        self._queue: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.events: list[Mapping[str, Any]] = []
        #: One sentence: the first thing that could not be recorded.
        self.problem = ""

    def event(self, event: dict[str, Any]) -> bool:
        """ansible-runner's handler. False: it writes no file of its own."""
        # Not before the first event: the playbook's process is forked by then, from a process of one thread.
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
            self._thread.start()
        self.events.append(event)
        self._queue.put(event)
        return False

    def close(self) -> None:
        """Wait until all that came is written."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def keep(self, source: Path, name: str) -> None:
        """Copy a text file of the run, without its secrets; an absent one is left out."""
        try:
            text = source.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return
        except OSError as error:
            self._trouble(name, error)
        else:
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """One more file of the record."""
        try:
            write_text(self._folder / name, self.blacken(text))
        except Exception as error:  # noqa: BLE001  # whatever is not on record is said to be missing
            self._trouble(name, error)

    def blacken(self, text: str) -> str:
        """The text without secrets, also as JSON writes them."""
        for secret in self._secrets:
            text = text.replace(secret, BLACKED)
            quoted = json.dumps(secret)[1:-1]
            if quoted != secret:
                text = text.replace(quoted, BLACKED)
        return text

    def _write(self) -> None:
        while (event := self._queue.get()) is not None:
            name = f"{event.get('counter', 0)}-{event.get('uuid', 'none')}.json"
            try:
                text = json.dumps(self._clean(event), ensure_ascii=False, default=str)
                write_text(self._folder / "job_events" / name, text + "\n", flush=False)
            except Exception as error:  # noqa: BLE001  # the thread must live on, and the run is no success
                self._trouble(name, error)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.blacken(value)
        if isinstance(value, Mapping):
            return {key: self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return value

    def _trouble(self, name: str, error: Exception) -> None:
        why = getattr(error, "strerror", None) or repr(error)
        self.problem = self.problem or f"{name} can't be recorded: {why}"
