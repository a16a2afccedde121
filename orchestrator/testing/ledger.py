"""The ledger, the kill switch and heartbeats in memory. The lock stands for the transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.ports import Event

US = "healing-bot"


class MemoryLedger:
    """The ledger part of ports.Store."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._stopped: str | None = None
        self._beats: dict[str, datetime] = {}

    def append(
        self,
        kind: str,
        *,
        incident_id: str = "",
        host: str = "",
        text: str,
        actor: str = US,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        with self._lock:
            event = Event(
                seq=len(self._events) + 1,
                at=self._clock(),
                kind=kind,
                incident_id=incident_id,
                host=host,
                text=text,
                actor=actor,
                data=dict(data or {}),
            )
            self._events.append(event)
        return event

    def events(self, *, after: int = 0, incident_id: str | None = None, limit: int = 500) -> tuple[Event, ...]:
        found = (event for event in tuple(self._events) if event.seq > after)
        return tuple(event for event in found if incident_id in (None, event.incident_id))[:limit]

    def newest(self) -> int:
        return self._events[-1].seq if self._events else 0

    def stop(self, *, actor: str, reason: str) -> None:
        with self._lock:
            at = self._clock()
            self._stopped = f"{actor} stopped all healing at {at:%Y-%m-%d %H:%M:%S} UTC: {reason}"
            self.append("switch.stopped", text=f"stopped by {actor}: {reason}", actor=actor)

    def resume(self, *, actor: str, reason: str) -> None:
        with self._lock:
            if self._stopped is not None:
                self._stopped = None
                self.append("switch.resumed", text=f"resumed by {actor}: {reason}", actor=actor)

    def stopped(self) -> str | None:
        return self._stopped

    def beat(self, worker: str) -> None:
        self._beats[worker] = self._clock()

    def worker_seen(self) -> datetime | None:
        return max(self._beats.values(), default=None)
