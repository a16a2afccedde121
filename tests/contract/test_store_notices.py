"""How far a channel has come, in the real store and in its twin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.domain.notices import Told
from orchestrator.ports import Store
from tests.support.stores import KINDS, one_of

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield from one_of(request.param, tmp_path, lambda: NOW)


def test_what_was_told_comes_back_and_the_last_word_stands(store: Store) -> None:
    first = Told(channel="ops", through={"approval": 7, "escalated": 3})
    last = Told(
        channel="ops",
        through={"approval": 9, "escalated": 9},
        sent=(NOW - timedelta(minutes=5), NOW),
        messages=2,
        failures=1,
        problem="it answered with HTTP status 500.",
        at=NOW,
    )
    assert store.told("ops") is None
    store.record_told(first)
    assert store.told("ops") == first
    store.record_told(last)
    store.record_told(Told(channel="pager", through={}))
    assert store.told("ops") == last
    assert store.events() == ()
