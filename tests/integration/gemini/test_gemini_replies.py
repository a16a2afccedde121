"""Replies that are none, and log lines that give orders: at worst one offered candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.decide.gemini import GeminiChooser
from orchestrator.errors import BadReply, ModelUnavailable
from tests.support.gemini_case import Pauses, case
from tests.support.gemini_server import Behaviour, GeminiServer, Received, Reply, answer, envelope, whole

INJECTIONS = [
    pytest.param(json.loads(line), id=str(number))
    for number, line in enumerate(
        (Path(__file__).parents[2] / "cases" / "injection" / "lines.jsonl").read_text("utf-8").splitlines(), start=1
    )
]


BAD: list[tuple[str, Behaviour, str]] = [
    ("prose", envelope("I would restart nginx."), "no JSON"),
    ("json in a fence", envelope('```json\n{"reason":"x"}\n```'), "no JSON"),
    ("no text", envelope(None), "no text"),
    ("empty text", envelope(""), "no JSON"),
    ("no candidates", whole({"candidates": []}), "no answer"),
    ("empty object", whole({}), "no answer"),
    ("null", whole(None), "answer"),
    ("a list", whole([1, 2]), "answer"),
    ("a number", whole(7), "answer"),
    ("a string", whole("restart_service"), "answer"),
    ("candidates of another type", whole({"candidates": {"a": 1}}), "answer"),
    ("parts of another type", whole({"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]}), "answer"),
    ("text of another type", whole({"candidates": [{"content": {"parts": [{"text": {}}]}}]}), "answer"),
    ("empty body", Reply(), "answer"),
    ("broken JSON", Reply(body=b'{"candidates": ['), "can't be read"),
    ("no UTF-8", Reply(body=b"\xff\xfe{}"), "answer"),
    ("deep nesting", Reply(body=b"[" * 100_000), "can't be read"),
    ("HTML", Reply(body=b"<html>ok</html>", content_type="text/html"), "can't be read"),
    ("MAX_TOKENS", envelope('{"reason":"x","choice":{"action":"esc', finish="MAX_TOKENS"), "MAX_TOKENS"),
    ("MAX_TOKENS with whole text", envelope('{"reason":"x","choice":{"action":"none"}}', finish="MAX_TOKENS"), "MAX"),
    ("SAFETY", envelope(None, finish="SAFETY"), "SAFETY"),
    ("RECITATION", envelope("{}", finish="RECITATION"), "RECITATION"),
    ("no finish reason", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1}', finish=None), "complete"),
    ("blocked question", whole({"promptFeedback": {"blockReason": "SAFETY"}}), "blocked"),
    ("two candidates", whole({"candidates": [{"finishReason": "STOP"}, {"finishReason": "STOP"}]}), "2 answers"),
    (
        "a function call",
        whole(
            {
                "candidates": [
                    {
                        "finishReason": "STOP",
                        "content": {"parts": [{"functionCall": {"name": "restart_service", "args": {}}}]},
                    }
                ]
            }
        ),
        "no text",
    ),
    ("an unknown action", answer("format_disk"), "not offered"),
    ("an action with another letter case", answer("Free_Disk_Space"), "not offered"),
    ("a known action that was not offered", answer("restart_network"), "not offered"),
    ("a list of two actions", envelope('[{"action":"none"},{"action":"escalate"}]'), "shape"),
    (
        "two actions in one",
        envelope('{"reason":"x","choice":{"action":["none","escalate"]},"confidence":1}'),
        "shape",
    ),
    ("two objects", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1}{"reason":"y"}'), "no JSON"),
    (
        "two choices under one key",
        envelope('{"reason":"x","choice":{"action":"none"},"choice":{"action":"free_disk_space"},"confidence":1}'),
        "twice",
    ),
    ("a parameter that was not offered", answer("restart_service", {"service": "ssh.service"}), "not offered"),
    ("a parameter with a command", answer("restart_service", {"service": "nginx.service; reboot"}), "not offered"),
    ("no parameter", answer("restart_service"), "not offered"),
    ("one parameter too many", answer("restart_service", {"service": "nginx.service", "x": "y"}), "not offered"),
    ("the parameter of another action", answer("restart_service", {"path": "/usr/local/bin/job.sh"}), "not offered"),
    ("a parameter for an action without", answer("free_disk_space", {"path": "/"}), "not offered"),
    ("a parameter for escalate", answer("escalate", {"service": "nginx.service"}), "parameters"),
    ("a parameter that is a list", answer("restart_service", {"service": ["nginx.service"]}), "shape"),
    ("a parameter that is null", answer("restart_service", {"service": None}), "shape"),
    ("an unknown field", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1,"approved":true}'), "shape"),
    ("no reason", envelope('{"choice":{"action":"none"},"confidence":1}'), "shape"),
    ("no confidence", envelope('{"reason":"x","choice":{"action":"none"}}'), "shape"),
    ("confidence above one", answer("none", confidence=1.1), "shape"),
    ("confidence as a word", answer("none", confidence="high"), "shape"),
    ("confidence NaN", envelope('{"reason":"x","choice":{"action":"none"},"confidence":NaN}'), "NaN"),
    ("confidence without end", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1e999}'), "shape"),
    ("a number too long to read", envelope('{"confidence":' + "9" * 5000 + "}"), ""),  # whichever reader gives up first
    ("nested brackets", envelope("[" * 8000), "can't be read"),
    ("a long text", answer("none", reason="x" * 9000), "characters"),
    ("a large body", answer("none", reason="x" * 300_000), "larger"),
    ("a body without end", Reply(endless=b"x" * 65536), "larger"),
    ("a packed body", Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "packed"),
]


@pytest.mark.parametrize(("behaviour", "says"), [pytest.param(b, s, id=name) for name, b, s in BAD])
def test_a_bad_reply_is_no_action(
    server: GeminiServer, chooser: GeminiChooser, behaviour: Behaviour, says: str
) -> None:
    server.script(behaviour)

    with pytest.raises(BadReply) as refused:
        chooser.choose(case())

    assert says in str(refused.value)
    assert str(refused.value).endswith("A person must look.")
    assert len(str(refused.value)) < 400
    assert len(server.requests) == 1


# The client warns of it in general; here it is meant, and warnings are errors.
@pytest.mark.filterwarnings("ignore:TIRED is not a valid FinishReason:UserWarning")
def test_a_finish_reason_of_the_future_is_no_action(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(envelope('{"reason":"x","choice":{"action":"none"},"confidence":1}', finish="TIRED"))

    with pytest.raises(BadReply, match="TIRED"):
        chooser.choose(case())


#: Bodies that nearly are answers: the client's own fields with anything in them.
FIELDS = st.sampled_from(["candidates", "content", "parts", "text", "finishReason", "promptFeedback", "error", "role"])
BODIES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "{}", "none"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, status=st.sampled_from([200, 200, 200, 400, 404, 418, 429, 500]))
def test_any_body_is_refused_in_our_own_words(
    server: GeminiServer, chooser: GeminiChooser, pauses: Pauses, body: Any, status: int
) -> None:
    server.script(Reply(status=status, body=json.dumps(body).encode()))

    with pytest.raises((BadReply, ModelUnavailable)):
        chooser.choose(case())


@pytest.mark.parametrize("line", INJECTIONS)
def test_a_model_that_obeys_the_log_line_can_at_worst_pick_what_was_offered(
    server: GeminiServer, chooser: GeminiChooser, line: dict[str, Any]
) -> None:
    def obey(_: Received) -> Reply:
        return envelope(line["obeyed"]) if "obeyed" in line else answer(line["action"], line.get("parameters"))

    server.script(obey)
    shown = case("nginx.service: Failed.", line["message"])
    offered = {c.action: c.values for c in shown.candidates} | {"escalate": {}, "none": {}}

    try:
        decision = chooser.choose(shown)
    except BadReply:
        assert not line["offered"]
    else:
        assert line["offered"]
        assert decision.parameters.keys() == offered[decision.action].keys()
        assert all(value in offered[decision.action][name] for name, value in decision.parameters.items())
    # The line stayed inside of the fence, on one line.
    prompt = server.requests[0].prompt.splitlines()
    fences = [number for number, text in enumerate(prompt) if text.startswith("-----") and "data" in text]
    assert len(fences) == 2
    assert fences[1] - fences[0] == 3
