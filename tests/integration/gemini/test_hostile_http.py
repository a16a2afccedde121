"""A hostile model behind HTTP: the real client reads whatever it sends, and the bound holds each time."""

from __future__ import annotations

import sys

import pytest

from orchestrator.decide.prompt import show
from orchestrator.domain.exchanges import Exchange
from orchestrator.errors import BadReply, ModelUnavailable
from tests.support.gemini_case import asking
from tests.support.gemini_server import GeminiServer
from tests.support.hostile_model import HostileModel
from tests.support.hostile_world import CASES, Tally


# The client speaks of what it leaves out; here that is meant, and warnings are errors.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "number", [pytest.param(100, id="100"), pytest.param(20_000, id="20000", marks=pytest.mark.long)]
)
def test_the_bound_holds_over_http(server: GeminiServer, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[Exchange] = []
    # One for all answers, as in a worker: each must leave it fit for the next question.
    chooser = asking(server.url, record=lambda _, exchange: kept.append(exchange), pause=lambda _: None)
    model, tally = HostileModel(20261126), Tally(20261126)
    for turn in range(number):
        case = CASES[turn % len(CASES)]
        kind, behaviour = model.behaviour(show(case).candidates)
        server.script(behaviour)
        kept.clear()
        try:
            decision = chooser.choose(case)
        except (BadReply, ModelUnavailable) as refused:
            tally.refused(kind, refused)
            code = refused.code
        else:
            tally.decided(kind, decision, case)
            code = ""
        assert kept[-1].error == code
        assert len(kept) == len(server.requests)
    chooser.close()

    with capsys.disabled():
        sys.stdout.write(f"\nOver HTTP {tally}\n")
    assert sum(tally.ends.values()) == number
    assert tally.kinds["right"]["action"] > 0
    assert tally.allowed > 0
    assert tally.denied > 0
