"""Expressions that are asked only of what holds a literal they need: faster, and never another answer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.expressions import expression


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (r"no space left", ("no space left",)),
        (r"\bdisk (?:is )?full\b", ("disk ",)),
        (r"(?:one|two) of three", (" of three",)),
        (r"alpha|beta", ("alpha", "beta")),
        (r"alpha|x+", None),
        (r"(?:alpha)?beta{2}", ("bet",)),
        (r"(?=.*refused).*6379", ("refused",)),
        (r"(?!refused)6379", ("6379",)),
        (r"(?:kernel panic)+!", ("kernel panic",)),
        (r"[Kk]ernel", ("ernel",)),
        (r"ab|cd", None),
        (r"(?<!no )errors", ("errors",)),
        (r"Größe|size", None),
    ],
)
def test_needs_are_read_from_the_expression(text: str, needs: tuple[str, ...] | None) -> None:
    assert expression(text).needs == needs


@pytest.mark.parametrize(
    ("text", "line"),
    [("KERNEL", "kernel"), ("kernel", "\N{KELVIN SIGN}ERNEL"), ("missing", "mi\N{LATIN SMALL LETTER LONG S}sing")],
)
def test_case_is_ignored_as_the_expression_would(text: str, line: str) -> None:
    found = expression(text, re.IGNORECASE).search(line)

    assert found is not None
    assert found[0] == line


@given(
    st.lists(st.sampled_from(["disk", "full", " is ", "alpha", "beta", "no ", "x", "1"]), max_size=6).map("".join),
    st.sampled_from(
        [r"disk (?:is )?full", r"alpha|beta", r"(?:no )?disk", r"x\d|full", r"(?=.*beta).*disk", r"^no .*x$"]
    ),
)
def test_it_answers_as_the_expression_alone(line: str, text: str) -> None:
    assert bool(expression(text).search(line)) is bool(re.search(text, line))
