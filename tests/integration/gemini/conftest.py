"""One server and one chooser for all tests of a file, as in a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.decide.gemini import GeminiChooser
from tests.support.gemini_case import Pauses, asking
from tests.support.gemini_server import GeminiServer


@pytest.fixture(scope="module")
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


@pytest.fixture(scope="module")
def all_pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def pauses(all_pauses: Pauses) -> Pauses:
    all_pauses.seconds.clear()
    return all_pauses


# One for all tests, as in a worker: every answer must leave the client fit for the next question.
@pytest.fixture(scope="module")
def chooser(server: GeminiServer, all_pauses: Pauses) -> Iterator[GeminiChooser]:
    made = asking(server.url, pause=all_pauses, model="gemini-2.5-flash")
    yield made
    made.close()
