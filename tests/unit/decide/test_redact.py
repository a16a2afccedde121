"""Secrets go, the rest stays: cases as data, each `text` with what must be `gone` and what must be `kept`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.redact import REDACTED, TEXT_MAX, inside_keys, redact

LINES = Path(__file__).parents[2] / "cases" / "redact" / "lines.jsonl"
CASES = [
    pytest.param(json.loads(line), id=str(number))
    for number, line in enumerate(LINES.read_text(encoding="utf-8").splitlines(), start=1)
]


@pytest.mark.parametrize("case", CASES)
def test_case(case: dict[str, Any]) -> None:
    shown = redact(case["text"])

    assert [secret for secret in case["gone"] if secret in shown] == [], shown
    assert [text for text in case["kept"] if text not in shown] == [], shown


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_key_is_found_between_any_texts(before: str, after: str) -> None:
    key = "ghp_abcdefghijklmnopqrstuv"

    assert key not in redact(f"{before} {key} {after}")


@given(st.text(alphabet="abz019=:/@ '\"\\-.{}", max_size=300))
def test_redacting_again_brings_nothing_back(text: str) -> None:
    assert "hunter2" not in redact(redact(f"password=hunter2 {text}"))


def test_a_long_text_is_cut_at_a_blank_so_that_no_half_key_is_left() -> None:
    text = "x " * (TEXT_MAX // 2 - 4) + "AKIAIOSFODNN7EXAMPLE"

    shown = redact(text)

    assert "AKIA" not in shown
    assert len(shown) <= TEXT_MAX


def test_a_long_text_without_a_blank_is_not_shown_at_all() -> None:
    assert redact("x" * (TEXT_MAX + 1)) == ""


def test_lines_inside_of_a_key_are_known() -> None:
    lines = ["a", "-----BEGIN RSA PRIVATE KEY-----", "MIIE", "x-----END RSA PRIVATE KEY-----", "b"]

    assert list(inside_keys(lines)) == [False, False, True, True, False]


def test_a_key_that_begins_and_ends_in_one_line_hides_no_other() -> None:
    line = "-----BEGIN PRIVATE KEY----- x -----END PRIVATE KEY-----"

    assert list(inside_keys([line, "b"])) == [False, False]
    assert redact(line) == REDACTED
