"""Whatever a model answers: one offered choice, or BadReply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.reply import REASON_MAX, read_reply, response_schema
from orchestrator.domain.actions import Candidate, Decision
from orchestrator.errors import BadReply

CANDIDATES = (
    Candidate(action="restart_service", values={"service": ("nginx.service", "web.service")}),
    Candidate(action="restart_service", values={"service": ("db.service",)}),
    Candidate(action="copy", values={"source": ("/opt/a",), "target": ("/opt/b",)}),
    Candidate(action="free_disk_space", values={}),
)
OFFERED = {
    ("restart_service", (("service", "nginx.service"),)),
    ("restart_service", (("service", "web.service"),)),
    ("restart_service", (("service", "db.service"),)),
    ("copy", (("source", "/opt/a"), ("target", "/opt/b"))),
    ("free_disk_space", ()),
    ("escalate", ()),
    ("none", ()),
}
#: Words that make near misses likely.
WORDS = st.sampled_from(
    [
        *("restart_service", "copy", "free_disk_space", "escalate", "none", "nginx.service", "db.service"),
        *("ssh.service", "/opt/a", "/opt/b", "service", "source", "target", "action", "parameters"),
        *("choice", "reason", "confidence"),
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
CHOICES = st.fixed_dictionaries(
    {"action": WORDS}, optional={"parameters": st.dictionaries(WORDS, WORDS | JSON, max_size=3)}
)
NEAR = st.fixed_dictionaries(
    {"reason": st.text(min_size=1) | JSON, "choice": CHOICES | JSON, "confidence": st.floats(0, 1) | JSON},
    optional={"approved": JSON},
)


def read(text: str) -> Decision:
    return read_reply(text, CANDIDATES, chooser="gemini", shown_digest="d")


@given(st.text() | JSON.map(json.dumps) | NEAR.map(json.dumps))
def test_any_reply_is_one_offered_choice_or_refused(text: str) -> None:
    try:
        decision = read(text)
    except BadReply as error:
        refused = str(error)
        decision = None
    if decision is None:
        assert refused.endswith("A person must look.")
        assert len(refused) < 400
        return
    assert (decision.action, tuple(sorted(decision.parameters.items()))) in OFFERED
    assert decision.confidence is not None
    assert 0 <= decision.confidence <= 1


@pytest.mark.parametrize(("action", "parameters"), sorted(OFFERED))
def test_every_offered_choice_can_be_made(action: str, parameters: tuple[tuple[str, str], ...]) -> None:
    decision = read(
        json.dumps({"reason": "r", "choice": {"action": action, "parameters": dict(parameters)}, "confidence": 1})
    )

    assert (decision.action, tuple(decision.parameters.items())) == (action, parameters)
    assert (decision.chooser, decision.shown_digest) == ("gemini", "d")


def test_values_of_two_candidates_of_one_action_are_not_mixed() -> None:
    mixed = (
        Candidate(action="copy", values={"source": ("a",), "target": ("b",)}),
        Candidate(action="copy", values={"source": ("c",), "target": ("d",)}),
    )
    choice = {"action": "copy", "parameters": {"source": "a", "target": "d"}}

    with pytest.raises(BadReply, match="not offered"):
        read_reply(json.dumps({"reason": "r", "choice": choice, "confidence": 1}), mixed, chooser="x", shown_digest="")


@pytest.mark.parametrize("text", ["[" * 8000, '{"a":' * 1600, "9" * 8000], ids=["brackets", "objects", "digits"])
def test_a_reply_that_breaks_a_parser_is_refused(text: str) -> None:
    with pytest.raises(BadReply):
        read(text)


@pytest.mark.parametrize("action", ["escalate", "none"])
def test_nothing_to_do_takes_no_parameters(action: str) -> None:
    choice = {"action": action, "parameters": {"service": "nginx.service"}}

    with pytest.raises(BadReply, match="gave parameters"):
        read(json.dumps({"reason": "r", "choice": choice, "confidence": 1}))


def test_the_reason_can_not_move_a_terminal_or_turn_text_around() -> None:
    reason = "\x1b[31mred\x07\u202e\u2066 two\nlines \U000e0041" + "x" * 2000

    shown = read(json.dumps({"reason": reason, "choice": {"action": "none"}, "confidence": 1})).reason

    assert shown.startswith("[31mred two lines xxx")
    assert len(shown) == REASON_MAX
    assert shown.isprintable()


@pytest.mark.parametrize("reason", [" ", "\x1b\x07", "\u202e\u200b\n"])
def test_a_reason_that_shows_nothing_is_none(reason: str) -> None:
    with pytest.raises(BadReply, match="nothing to read"):
        read(json.dumps({"reason": reason, "choice": {"action": "none"}, "confidence": 1}))


def test_the_schema_offers_nothing_to_do_where_nothing_is_offered() -> None:
    schema = response_schema(())

    (branch,) = schema["properties"]["choice"]["anyOf"]
    assert branch["properties"]["action"]["enum"] == ["escalate", "none"]


def test_escalate_and_none_are_offered_once_also_where_they_are_candidates() -> None:
    schema = response_schema((Candidate(action="escalate", values={}), Candidate(action="none", values={})))

    assert len(schema["properties"]["choice"]["anyOf"]) == 1
