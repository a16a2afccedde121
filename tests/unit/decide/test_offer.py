"""What is offered where not everything can be: the most relevant, within bounds, and in private where asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.decide.prompt import CANDIDATES_MAX, Shown, show, tokens
from orchestrator.decide.relevance import by_relevance
from orchestrator.decide.wording import PROMPT, wording
from orchestrator.domain.actions import Candidate, Decision, Pattern
from orchestrator.ports import Case
from tests.support import decide_case
from tests.support.gemini_case import action, case, record

MARK = "f" * 32
#: A line a version: whoever changes a word of the prompt gives it another version, and adds that here.
VERSIONS = {"1": "acb4470918c4d1642f4f03ae5bc4c6ec67507a3987d73925db76b448eb34c424"}


def test_a_prompt_of_other_words_has_another_version() -> None:
    digest = hashlib.sha256(PROMPT.read_bytes()).hexdigest()

    assert VERSIONS.get(wording().version) == digest


def test_the_version_is_shown_with_the_words() -> None:
    shown = show(case(), mark=MARK)

    assert shown.version == wording().version
    assert shown.system == wording().system
    assert f"----- {MARK} data begins -----\n{{" in shown.text
    assert "$" not in shown.text


def test_dollars_of_a_log_line_are_no_places_of_the_prompt() -> None:
    text = show(case("cost $mark $evidence ${unit} $$"), mark=MARK).text

    assert "cost $mark $evidence ${unit} $$" in text


def many(number: int, *, text: str = "It is needed.") -> Case:
    """As many actions, each with a word of its own."""
    actions = tuple(
        replace(action(f"action_{n}", "service"), title=f"Mend thing w{_word(n)}", when=text) for n in range(number)
    )
    candidates = tuple(Candidate(action=one.id, values={"service": ("nginx.service",)}) for one in actions)
    return replace(case("nginx.service: Failed."), candidates=candidates, actions=actions)


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}")


def ids(shown: Shown) -> list[str]:
    return [candidate.action for candidate in shown.candidates]


def test_at_most_thirty_are_offered_and_the_schema_has_no_other() -> None:
    shown = show(many(100), mark=MARK)

    assert len(shown.candidates) == CANDIDATES_MAX == 30
    branches = shown.schema["properties"]["choice"]["anyOf"]
    assert [one["properties"]["action"]["enum"] for one in branches] == [
        *([one] for one in ids(shown)),
        ["escalate", "none"],
    ]
    assert sum(line.startswith("- action_") for line in shown.text.splitlines()) == 30


def test_the_relevant_ones_are_among_them_in_the_catalogues_order() -> None:
    hundred = many(100)
    speaking = (record(f"w{_word(97)} is broken"), record(f"w{_word(55)} is broken too"))

    shown = show(replace(hundred, records=speaking), mark=MARK)

    assert ids(shown) == [f"action_{n}" for n in (*range(28), 55, 97)]


def test_a_pattern_that_holds_beats_any_words() -> None:
    hundred = many(100, text="nginx failed failed to start the service")
    fitting = replace(hundred.actions[99], patterns=(Pattern(match="nginx.service: Failed"),), when="")

    shown = show(replace(hundred, actions=(*hundred.actions[:99], fitting)), mark=MARK)

    assert "action_99" in ids(shown)


def test_what_strangers_said_makes_nothing_relevant() -> None:
    hundred = many(100)
    request = record(f'192.0.2.1 - - [01/Mar/2026:12:00:00 +0000] "GET /w{_word(97)} HTTP/1.1" 500 1')

    assert "action_97" not in ids(show(replace(hundred, records=(request,)), mark=MARK))


@given(st.permutations(range(12)))
def test_the_order_is_a_matter_of_the_case_alone(order: list[int]) -> None:
    twelve = many(12)
    actions = tuple(twelve.actions[n] for n in order)

    first = by_relevance(twelve.candidates, actions, twelve.records)

    assert first == by_relevance(twelve.candidates, twelve.actions, twelve.records)


@settings(max_examples=40, deadline=None)
@given(
    messages=st.lists(
        st.text(max_size=1500) | st.sampled_from(["9" * 4000, "\u202e" * 1000, "word " * 400]), max_size=25
    ),
    tokens_max=st.integers(4000, 40_000),
    number=st.integers(0, 60),
    text=st.sampled_from(["Short.", "7" * 900, "A long description of when it helps. " * 20]),
)
def test_a_question_never_has_more_tokens_than_allowed(
    messages: list[str], tokens_max: int, number: int, text: str
) -> None:
    asked = replace(many(number, text=text), records=tuple(record(one) for one in messages))

    shown = show(asked, mark=MARK, tokens_max=tokens_max)

    assert tokens(shown.system) + tokens(shown.text) + tokens(json.dumps(shown.schema)) <= tokens_max


def test_the_newest_line_is_shown_even_where_there_is_hardly_room() -> None:
    asked = replace(many(60, text="7" * 300), records=(record("old"), record("the end: " + "9" * 900)))

    shown = show(asked, mark=MARK, tokens_max=4000)

    assert '"message": "the end: 9' in shown.text
    assert len(shown.candidates) > 1


def test_the_whole_catalogue_fits_where_the_settings_say_nothing() -> None:
    asked = decide_case.case(
        "nginx.service: Failed with result 'exit-code'.",
        "open() /var/log/nginx/error.log failed (13: Permission denied)",
        "write /var/lib/app/x: No space left on device",
        "9" * 900,
    )

    shown = show(asked, mark=MARK)

    assert len(shown.candidates) == len(asked.candidates) >= 8
    assert shown.text.count('"priority"') == 4


@pytest.mark.parametrize(
    ("text", "least"), [("restart the nginx service", 5), ("0123456789", 10), ("\u00e9\u4e2d", 2), ("", 0)]
)
def test_tokens_are_counted_on_the_safe_side(text: str, least: int) -> None:
    assert tokens(text) >= least


@given(st.text(), st.text())
def test_parts_have_at_least_the_tokens_of_the_whole(first: str, second: str) -> None:
    assert tokens(first + second) <= tokens(first) + tokens(second)


VPN = Candidate(action="restart_service", values={"service": ("openvpn@10.0.0.5", "openvpn@10.9.9.9", "nginx")})


def private(*messages: str, values: Candidate = VPN) -> Case:
    return replace(case(*messages), unit="openvpn@10.0.0.5.service", candidates=(values,))


def test_private_addresses_stay_here_where_that_is_asked() -> None:
    asked = private("connect to 10.0.0.5:443 and fd00::7 failed", "8.8.8.8 answers")

    shown = show(asked, mark=MARK, hide_addresses=True)

    for address in ("10.0.0.5", "10.9.9.9", "fd00::7"):
        assert address not in shown.whole
    assert "8.8.8.8" in shown.text
    assert shown.candidates[0].values["service"] == ("openvpn@private-address-1", "openvpn@private-address-2", "nginx")
    assert 'Unit that the incident is about: "openvpn@private-address-1.service"' in shown.text


def test_a_choice_gets_its_addresses_back() -> None:
    shown = show(private("10.0.0.5 is gone"), mark=MARK, hide_addresses=True)
    picked = shown.candidates[0].values["service"][1]
    decision = Decision(
        action="restart_service", parameters={"service": picked}, reason=f"{picked} hangs", chooser="gemini"
    )

    restored = shown.restored(decision)

    assert restored.parameters == {"service": "openvpn@10.9.9.9"}
    assert restored.reason == "openvpn@10.9.9.9 hangs"


def test_a_value_that_reads_like_a_stand_in_is_not_taken_for_another() -> None:
    forged = Candidate(action="restart_service", values={"service": ("vpn@10.0.0.5", "vpn@private-address-1")})

    shown = show(replace(private("x", values=forged), unit="nginx"), mark=MARK, hide_addresses=True)

    assert shown.candidates[0].values["service"] == ("vpn@private-address-1",)
    picked = Decision(
        action="restart_service", parameters={"service": "vpn@private-address-1"}, reason="r", chooser="gemini"
    )
    assert shown.restored(picked).parameters == {"service": "vpn@10.0.0.5"}


def test_without_being_asked_addresses_are_shown() -> None:
    shown = show(private("10.0.0.5 is gone"), mark=MARK)

    assert "10.0.0.5 is gone" in shown.text
    assert shown.candidates == (VPN,)


def test_the_digest_is_of_the_whole_as_it_is_kept() -> None:
    shown = show(case(), mark=MARK)

    kept = json.loads(shown.whole)
    assert kept == {"system": shown.system, "text": shown.text, "schema": shown.schema}
    assert hashlib.sha256(shown.whole.encode()).hexdigest() == shown.digest
