"""Channels in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from orchestrator.domain.notices import Told
from orchestrator.testing.steps import MemorySteps


class MemoryNotices(MemorySteps):
    """The part of ports.Store that knows what people were told."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock=clock)
        self._told: dict[str, Told] = {}

    def told(self, channel: str) -> Told | None:
        return self._told.get(channel)

    def record_told(self, told: Told) -> None:
        with self._lock:
            self._told[told.channel] = told
