"""Log lines in, one answer each, in order, whatever the line is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog import Catalog
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.detect.signature import signature
from orchestrator.domain.actions import NONE, Action, Decision, Parameter, ParameterSource, Pattern, Risk
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.verdicts import Outcome
from orchestrator.errors import BadReply, ModelTimeout
from orchestrator.explain import LINE_MAX, explain
from orchestrator.ports import Chooser, Fleet
from orchestrator.testing import FakeChooser, FakeFleet

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RESTART = Action(
    id="restart_service",
    title="Restart a service",
    when="",
    not_when="",
    risk=Risk.LOW,
    reversible=False,
    task_timeout=1,
    run_timeout=1,
    settle_seconds=0,
    hold_seconds=0,
    parameters=(Parameter(name="service", type="str", required=True, description="", source=ParameterSource.UNIT),),
    patterns=(Pattern(match=r"^(?P<service>[\w@.-]+)\.service: Failed with result"),),
)
FREE = replace(RESTART, id="free_disk_space", parameters=(), patterns=())
CATALOG = Catalog(actions={action.id: action for action in (FREE, RESTART)})
FAILED: dict[str, Any] = {
    "unit": "nginx.service",
    "message": "nginx.service: Failed with result 'signal'.",
    "priority": 4,
}


def host(name: str, mode: Mode) -> Host:
    connection = Connection(kind="ssh", address="192.0.2.1")
    return Host(name=name, groups=(), connection=connection, policy=HostPolicy(mode=mode))


FLEET = FakeFleet(*(host(mode.value, mode) for mode in Mode))


def answers(*lines: str, chooser: Chooser | None = None, fleet: Fleet | None = FLEET) -> list[dict[str, Any]]:
    chooser = chooser or EmbeddedChooser()
    return list(explain(lines, catalog=CATALOG, chooser=chooser, fleet=fleet, now=NOW))


def answer(fields: Mapping[str, Any], chooser: Chooser | None = None, fleet: Fleet | None = FLEET) -> dict[str, Any]:
    (only,) = answers(json.dumps(fields), chooser=chooser, fleet=fleet)
    return only


def assert_shape(answer: Mapping[str, Any]) -> None:
    assert set(answer) - {"error"} == {"signature", "incident", "decision", "verdict"}
    assert isinstance(answer["incident"], bool)
    assert set(answer["decision"]) == {"action", "params", "reason", "chooser"}
    assert isinstance(answer["decision"]["params"], dict)
    assert set(answer["verdict"]) == {"outcome", "rule", "reason"}
    assert answer["verdict"]["outcome"] in set(Outcome)
    assert answer["decision"]["reason"]
    assert answer["verdict"]["reason"].endswith(".")
    json.dumps(answer).encode("utf-8")


def test_an_answer_says_signature_incident_decision_and_verdict() -> None:
    told = answer(FAILED)

    assert_shape(told)
    assert told["signature"] == signature(FAILED["unit"], FAILED["message"])[0]
    assert told["incident"] is True
    assert told["decision"]["action"] == "restart_service"
    assert told["decision"]["params"] == {"service": "nginx"}
    assert told["decision"]["chooser"] == "embedded"
    assert "error" not in told


BAD = [
    ("", "empty"),
    (" \t ", "empty"),
    ("not json", "no JSON"),
    ('{"message": "a"', "no JSON"),
    ("[" * 100_000, "no JSON"),
    ('{"message": ' + "9" * 5000 + "}", "no JSON"),
    ("[]", "no object"),
    ("null", "no object"),
    ('"text"', "no object"),
    ("{}", "message is missing"),
    ('{"message": null}', "message is missing"),
    ('{"message": 5}', "message is no text"),
    ('{"message": [300]}', "message is no text"),
    ('{"message": [true]}', "message is no text"),
    ('{"message": []}', "message is no text"),
    ('{"message": "a", "unit": 5}', "unit is no text"),
    ('{"message": "a", "unit": {}}', "unit is no text"),
    ('{"message": "a", "host": 5}', "host is no text"),
    ('{"message": "a", "priority": 8}', "priority is '8'"),
    ('{"message": "a", "priority": -1}', "priority is '-1'"),
    ('{"message": "a", "priority": 3.5}', "priority is '3.5'"),
    ('{"message": "a", "priority": true}', "priority is 'True'"),
    ('{"message": "a", "priority": "err"}', "priority is 'err'"),
    ('{"message": "a", "priority": ""}', "priority is ''"),
    ('{"message": "a", "priority": "-1"}', "priority is '-1'"),
    ('{"message": "a", "priority": "\u0663"}', "priority is '\u0663'"),
    ('{"message": "a", "priority": []}', "priority is '[]'"),
    ('{"message": "\udcff"}', "not valid UTF-8"),
    ('{"message": "' + "a" * LINE_MAX + '"}', "longer than"),
]


@pytest.mark.parametrize(("line", "why"), BAD)
def test_a_line_that_is_no_record_is_told_so(line: str, why: str) -> None:
    (told,) = answers(line)

    assert_shape(told)
    assert why in told["error"]
    assert told["signature"] is None
    assert told["incident"] is False
    assert told["decision"] == {"action": NONE, "params": {}, "reason": told["error"], "chooser": "embedded"}
    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("denied", "no_action")


def test_each_line_has_one_answer_in_order_and_a_bad_one_spoils_no_other() -> None:
    good = [json.dumps({"unit": f"u{n}.service", "message": "boom"}) for n in range(len(BAD))]

    told = answers(*(line for pair in zip(good, (bad for bad, _ in BAD), strict=True) for line in pair))

    assert len(told) == 2 * len(BAD)
    assert [one["signature"] for one in told[0::2]] == [signature(f"u{n}.service", "boom")[0] for n in range(len(BAD))]
    assert [one["signature"] for one in told[1::2]] == [None] * len(BAD)


def test_no_lines_have_no_answers() -> None:
    assert answers() == []


def test_lines_are_answered_as_they_come() -> None:
    lines = iter([json.dumps(FAILED), json.dumps(FAILED)])

    next(explain(lines, catalog=CATALOG, chooser=EmbeddedChooser(), fleet=None, now=NOW))

    assert len(list(lines)) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_end_of_a_line_does_not_count(end: str) -> None:
    assert answers(json.dumps(FAILED) + end) == answers(json.dumps(FAILED))


@pytest.mark.parametrize(
    ("priority", "incident"), [(0, True), (3, True), ("3", True), (" 3 ", True), (None, True), (5, False), ("7", False)]
)
def test_a_priority_may_be_text_and_is_err_where_it_is_missing(*, priority: object, incident: bool) -> None:
    told = answer({"unit": "a.service", "message": "something odd", "priority": priority})

    assert told["incident"] is incident
    assert "error" not in told


def test_a_record_needs_no_more_than_a_message() -> None:
    told = answer({"message": "something odd"})

    assert_shape(told)
    assert told["signature"] == signature("", "something odd")[0]


def test_an_empty_message_is_a_message() -> None:
    assert answer({"message": ""})["signature"] == signature("", "")[0]


def test_a_message_of_bytes_is_read_as_text() -> None:
    told = answer({"unit": "a.service", "message": list(b"caf\xc3\xa9 \xff")})

    assert told["signature"] == signature("a.service", "café �")[0]


def test_half_a_character_out_of_an_escape_is_replaced() -> None:
    (told,) = answers('{"message": "half \\ud800"}')

    assert_shape(told)
    assert told["signature"] == signature("", "half ?")[0]


def test_unknown_fields_are_left_alone() -> None:
    assert answer({**FAILED, "_PID": "1", "signature": "mine"}) == answer(FAILED)


@pytest.mark.parametrize("fleet", [None, FLEET])
def test_without_a_host_nothing_is_allowed(fleet: Fleet | None) -> None:
    told = answer(FAILED, fleet=fleet)

    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("unknown", "host")


@pytest.mark.parametrize(
    ("name", "outcome", "rule"),
    [("off", "denied", "mode"), ("propose", "unknown", "facts"), ("auto", "unknown", "facts")],
)
def test_with_a_host_its_policy_holds_and_facts_are_missing(name: str, outcome: str, rule: str) -> None:
    told = answer({**FAILED, "host": name})

    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == (outcome, rule)
    assert name in told["verdict"]["reason"]
    assert "error" not in told


def decision(action: str, **parameters: str) -> Decision:
    return Decision(action=action, parameters=parameters, reason="Because.", chooser="fake")


def test_policy_judges_what_the_chooser_picked_and_changes_no_decision() -> None:
    told = answer({**FAILED, "host": "auto"}, FakeChooser(decision("restart_service", service="sshd")))

    assert told["decision"]["params"] == {"service": "sshd"}
    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("denied", "protected_unit")


def test_an_action_that_touches_nothing_of_its_own_still_needs_a_look_at_the_host() -> None:
    told = answer({**FAILED, "host": "auto"}, FakeChooser(decision("free_disk_space")))

    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("unknown", "facts")


def test_an_action_that_is_not_on_the_whitelist_is_denied() -> None:
    told = answer(FAILED, FakeChooser(decision("format_disk")))

    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("denied", "whitelist")


@pytest.mark.parametrize("action", ["escalate", "none"])
def test_where_nothing_is_chosen_there_is_nothing_to_allow(action: str) -> None:
    told = answer({**FAILED, "host": "auto"}, FakeChooser(decision(action)))

    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("denied", "no_action")


@pytest.mark.parametrize("error", [ModelTimeout("The model took too long."), BadReply("The model answered oddly.")])
def test_an_error_of_the_chooser_is_told_to_a_person(error: Exception) -> None:
    told = answer(FAILED, FakeChooser(error))

    assert_shape(told)
    assert told["decision"] == {"action": "escalate", "params": {}, "reason": str(error), "chooser": "fake"}
    assert told["verdict"]["outcome"] == "denied"


def test_a_host_that_nobody_knows_is_told_and_the_rest_is_answered() -> None:
    told = answer({**FAILED, "host": "of"})

    assert_shape(told)
    assert told["error"].startswith("host: There is no host 'of'")
    assert "off" in told["error"]
    assert told["decision"]["action"] == "restart_service"
    assert (told["verdict"]["outcome"], told["verdict"]["rule"]) == ("unknown", "host")


def test_a_host_without_an_inventory_is_told() -> None:
    told = answer({**FAILED, "host": "web1"}, fleet=None)

    assert "no inventory" in told["error"]
    assert told["verdict"]["outcome"] == "unknown"


def test_an_empty_host_is_none() -> None:
    assert answer({**FAILED, "host": ""}) == answer(FAILED)


def test_the_fleet_is_asked_once_for_each_host() -> None:
    asked: list[str] = []

    class Counting(FakeFleet):
        def host(self, name: str) -> Host:
            asked.append(name)
            return super().host(name)

    lines = [json.dumps({**FAILED, "host": name}) for name in ("auto", "nobody", "auto", "nobody")]

    assert len(answers(*lines, fleet=Counting(host("auto", Mode.AUTO)))) == 4
    assert asked == ["auto", "nobody"]


def test_the_chooser_is_shown_the_line_and_what_can_be_picked() -> None:
    chooser = FakeChooser()

    answer(FAILED, chooser)

    (case,) = chooser.asked
    assert [record.message for record in case.records] == [FAILED["message"]]
    assert [(one.action, dict(one.values)) for one in case.candidates] == [
        ("free_disk_space", {}),
        ("restart_service", {"service": ("nginx",)}),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.fixed_dictionaries({}, optional={name: JSON for name in ("unit", "message", "priority", "host")})


@given(st.lists(st.text(max_size=60) | JSON.map(json.dumps) | OBJECTS.map(json.dumps), max_size=5))
def test_any_lines_have_as_many_answers_of_one_shape_and_none_is_allowed(lines: list[str]) -> None:
    told = answers(*lines)

    assert len(told) == len(lines)
    for one in told:
        assert_shape(one)
        assert one["verdict"]["outcome"] != Outcome.ALLOWED
