"""The part of the Now page that changes: rendered once for everybody who looks, at most twice a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fastapi.concurrency import run_in_threadpool
from markupsafe import Markup

#: Seconds between two renderings while lines are written, and for which one is shown while none is.
REST, SAME = 0.5, 2.0


class Live:
    """What was rendered last. It says the same to every role; whoever asks gets all that was recorded before."""

    def __init__(self, newest: Callable[[], int], render: Callable[[], Markup]) -> None:
        """`newest`: the ledger's last line."""
        self._newest, self._render = newest, render
        self._turn = asyncio.Lock()
        self._text, self._line, self._at = Markup(), -1, float("-inf")

    async def text(self, *, patient: bool) -> Markup:
        """`patient`: nobody waits for it, so it may come with the next rendering that is due."""
        line = await run_in_threadpool(self._newest)
        if patient and not self._good(line):
            await asyncio.sleep(max(0.0, self._at + REST - time.monotonic()))
        async with self._turn:
            if not self._good(line):
                begun, known = time.monotonic(), await run_in_threadpool(self._newest)
                self._text = await run_in_threadpool(self._render)
                self._at, self._line = begun, known
            return self._text

    def _good(self, line: int) -> bool:
        return self._line >= line and time.monotonic() - self._at < SAME
