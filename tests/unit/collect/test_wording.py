"""The coarse look lets through whatever states an error, and text is made harmless."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collect.wording import MESSAGE_LIMIT, WORTH, clean, worth
from orchestrator.domain.levels import stated
from orchestrator.domain.records import Severity

CASES = Path(__file__).parents[2] / "cases" / "decide"
MESSAGES = sorted(
    {json.loads(row)["message"] for file in CASES.glob("*.jsonl") for row in file.read_text("utf-8").splitlines()}
)


def test_nothing_that_states_a_warning_is_held_back() -> None:
    held_back = [one for one in MESSAGES if stated(clean(one)) >= Severity.WARNING and not worth(clean(one))]

    assert len(MESSAGES) > 100
    assert held_back == []


@pytest.mark.parametrize(
    "text",
    [
        "E1125 13:00:00.1 7 main.go:1] lost",
        "app: W: low",
        "kubelet[7]: E1125 13:00:00.1 7 main.go:1] lost",
        '{"s":"E","c":"-"}',
        "[e] gone",
        "level=e lost",
        "<x:w> odd",
        "write failed (28: No space left on device)",
        "shop.service: Main process exited, code=killed, status=9/KILL",
        "kernel: general protection fault",
    ],
)
def test_short_forms_are_let_through(text: str) -> None:
    assert worth(text)


@pytest.mark.parametrize("text", ["order accepted", "GET / 200", "Started nginx.service.", "see you", ""])
def test_plain_words_are_held_back(text: str) -> None:
    assert not worth(text)


def test_the_pattern_can_stand_in_single_quotes_of_a_shell() -> None:
    assert "'" not in WORTH


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("\x1b[1;31mERROR\x1b[0m x", "ERROR x"),
        ("\x1b]0;title\x07ERROR", "ERROR"),
        ("a\r\nb\tc\x00d", "a  b c d"),
        ("pay\u202egnp.exe", "pay gnp.exe"),
        ("zero\u200bwidth \udcff", "zero width"),
        ("\U000e0041tag", "tag"),
        ("  kept é 漢  ", "kept é 漢"),
    ],
)
def test_escapes_and_hidden_characters_go(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@settings(deadline=None)
@given(st.text())
def test_a_clean_text_is_one_bounded_printable_line(raw: str) -> None:
    text = clean(raw)

    assert len(text) <= MESSAGE_LIMIT
    assert not [character for character in text if ord(character) < 32]
    text.encode()


def test_an_endless_text_is_cut() -> None:
    assert len(clean("x" * 1_000_000)) == MESSAGE_LIMIT
