"""Many people at the dashboard ask the store about as often as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from markupsafe import Markup

from api.pages import live as live_module
from api.pages.live import Live
from api.v1 import stream
from api.v1.stream import EventStream, Tail
from tests.api.conftest import Stage

VIEWERS = 50


class Board:
    """A ledger's last line, and what is rendered of it."""

    def __init__(self) -> None:
        self.line, self.rendered = 1, 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.live = Live(lambda: self.line, self._render)

    def _render(self) -> Markup:
        self.rendered += 1
        shown = Markup("{}").format(self.line)
        self.meanwhile()
        return shown

    async def everybody(self, *, patient: bool) -> set[str]:
        return set(await asyncio.gather(*(self.live.text(patient=patient) for _ in range(VIEWERS))))


@pytest.mark.parametrize("patient", [True, False])
def test_what_changes_is_rendered_once_for_everybody(monkeypatch: pytest.MonkeyPatch, *, patient: bool) -> None:
    monkeypatch.setattr(live_module, "REST", 0.0)
    monkeypatch.setattr(live_module, "SAME", 1e9)
    board = Board()

    async def look() -> None:
        assert await board.everybody(patient=patient) == {"1"}
        assert await board.everybody(patient=patient) == {"1"}
        assert board.rendered == 1
        board.line = 2
        assert await board.everybody(patient=patient) == {"2"}
        assert board.rendered == 2

    asyncio.run(look())


def test_what_was_written_while_it_was_rendered_is_rendered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SAME", 1e9)
    board = Board()

    def write() -> None:
        board.line += 1
        board.meanwhile = lambda: None

    board.meanwhile = write

    async def look() -> None:
        assert await board.live.text(patient=False) == "1"
        assert await board.live.text(patient=False) == "2"

    asyncio.run(look())


def test_what_changes_without_a_line_is_seen_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SAME", 0.0)
    board = Board()

    async def look() -> None:
        await board.live.text(patient=False)
        await board.live.text(patient=False)

    asyncio.run(look())
    assert board.rendered == 2


class Counted:
    """A store of which it is counted how often it is asked for lines."""

    def __init__(self, stage: Stage) -> None:
        self._store, self.asked, self._lock = stage.store, 0, threading.Lock()

    def events(self, **wanted: Any) -> Any:
        with self._lock:
            self.asked += 1
        return self._store.events(**wanted)


def test_streams_at_the_same_line_ask_the_store_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK", 1e9)
    for number in range(3):
        stage.store.append("test.line", text=f"line {number}")
    store = Counted(stage)
    tail = Tail(store)  # type: ignore[arg-type]  # all that it asks

    async def follow() -> list[bytes]:
        found: list[bytes] = []
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async for piece in EventStream(tail, 1)._pieces(gone):
            found.append(piece)
            if piece.startswith(b"id: 3\n"):
                gone.set_result(None)
        return found

    async def everybody() -> list[list[bytes]]:
        return await asyncio.gather(*(follow() for _ in range(VIEWERS)))

    told = asyncio.run(everybody())

    assert all(one == told[0] for one in told)
    assert [piece.partition(b"\n")[0] for piece in told[0][1:]] == [b"id: 2", b"id: 3"]
    assert store.asked == 1


def test_a_line_that_comes_later_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK", 0.0)
    tail = Tail(stage.store)

    async def look() -> None:
        assert await tail.after(0) == ()
        stage.store.append("test.line", text="line")
        ((line, piece),) = await tail.after(0)
        assert line == 1
        assert b"test.line" in piece

    asyncio.run(look())
