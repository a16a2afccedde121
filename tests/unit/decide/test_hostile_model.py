"""A hostile model answers anything: the bound holds each time, and the counts are shown.

By default some thousands of replies in this process; `pytest -m long` has 100,000, and 20,000 over HTTP through the
real client (tests/integration/gemini/test_hostile_http.py).
"""

from __future__ import annotations

import sys

import pytest

from orchestrator.decide.prompt import show
from orchestrator.decide.reply import read_reply
from orchestrator.errors import BadReply
from tests.support.hostile_model import KINDS, HostileModel
from tests.support.hostile_world import CASES, Tally


def attack(seed: int, number: int) -> Tally:
    """So many replies, in turn to each case of CASES."""
    model, tally = HostileModel(seed), Tally(seed)
    asked = [(case, show(case)) for case in CASES]
    for turn in range(number):
        case, shown = asked[turn % len(asked)]
        ((kind, text),) = model.replies(shown.candidates, 1)
        try:
            decision = read_reply(text, shown.candidates, chooser="gemini", shown_digest=shown.digest)
        except BadReply as refused:
            tally.refused(kind, refused)
        else:
            tally.decided(kind, decision, case)
    return tally


@pytest.mark.parametrize(
    "number", [pytest.param(4_000, id="4000"), pytest.param(100_000, id="100000", marks=pytest.mark.long)]
)
def test_the_bound_holds_whatever_a_model_answers(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    tally = attack(seed=20261126, number=number)

    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert sum(tally.ends.values()) == number
    assert set(tally.kinds) == set(KINDS)
    # What is right goes through, or the bound would hold for nothing.
    for kind in ("right", "spaced", "nasty_reason"):
        assert tally.kinds[kind]["refused"] == 0
        assert tally.kinds[kind]["action"] > 0
    # What is wrong in every case never does; other kinds are right by chance now and then.
    for kind in ("extra", "other_action", "several", "twice", "around", "truncated", "nested", "other_format", "noise"):
        assert set(tally.kinds[kind]) == {"refused"}
    assert tally.allowed > 0
    assert tally.denied > 0
