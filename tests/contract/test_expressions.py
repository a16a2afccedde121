"""No line of a log can hold us up: every expression that strangers' text meets answers hostile lines at once.

Two nets. A quantifier without an upper bound makes a search quadratic, so rules have none but after `^`; that is read
from the expression itself. What several bounded ones cost together can't be told from their form, so hostile lines are
tried: the worst takes some 20 ms of this process' own time (other processes don't count), and the limit is more than
ten times that.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator import catalog
from orchestrator.catalog.backtracking import explosive, lines, steep, unbounded
from orchestrator.decide import redact
from orchestrator.decide.rules import knowledge
from orchestrator.detect import signature
from orchestrator.domain import levels, speech
from orchestrator.domain.expressions import expression

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 0.25
ACTIONS = catalog.load(ROOT / "playbooks", ROOT / "roles").actions
MODULES = (levels, redact, signature, speech)


def of_catalogue() -> Iterator[tuple[str, re.Pattern[str]]]:
    for action in ACTIONS.values():
        for number, pattern in enumerate(action.patterns, start=1):
            yield f"{action.id}, match {number}", re.compile(pattern.match, re.IGNORECASE)
            if pattern.unless:
                yield f"{action.id}, unless {number}", re.compile(pattern.unless, re.IGNORECASE)


def of_knowledge() -> Iterator[tuple[str, re.Pattern[str]]]:
    known = knowledge()
    for rule in (*known.attacks, *known.rules):
        for one in (*rule.any, *filter(None, [rule.unless])):
            yield f"{rule.says}: {rule.reason}", one.pattern
    for one in (*known.effects, *known.trouble, *known.unable):
        yield "names", one.pattern
    yield from (("names", one) for one in (known.suspicious, known.sensitive))


def of_modules() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in MODULES:
        for name, value in vars(module).items():
            for one in compiled(value):
                yield f"{module.__name__}.{name}", one


def compiled(value: Any) -> Iterator[re.Pattern[str]]:
    """The expressions in a value, however deep in tuples."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from compiled(one)


def seconds(expression: re.Pattern[str], line: str) -> float:
    """Processor time of this process to find all that it finds; the better of two where one is slow."""
    best = LIMIT
    for _ in range(2):
        start = time.process_time()
        for _found in expression.finditer(line):
            pass
        best = min(best, time.process_time() - start)
        if best < LIMIT:
            break
    return best


ALL: Mapping[str, list[tuple[str, re.Pattern[str]]]] = {
    "catalogue": list(of_catalogue()),
    "knowledge": list(of_knowledge()),
    "modules": list(of_modules()),
}


@pytest.mark.parametrize("source", ["catalogue", "knowledge"])
def test_rules_bound_what_they_repeat(source: str) -> None:
    assert ALL[source]

    assert [(name, one.pattern, unbounded(one)) for name, one in ALL[source] if unbounded(one)] == []


@pytest.mark.parametrize("source", ALL)
def test_hostile_lines_cost_no_time(source: str) -> None:
    slow = [
        (name, one.pattern[:80], line[:80])
        for name, one in ALL[source]
        for line in lines(one)
        if seconds(one, line) >= LIMIT
    ]

    assert slow == []


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        (r"a+ b", 1),
        (r"^a+ b*", 0),
        (r"^a|b+", 1),
        (r"(?:^|x)(?:a{2,}|(?=c*))", 2),
        (r"a{1,20}(?:b{0,3}){0,4}", 0),
    ],
)
def test_quantifiers_without_a_bound_are_found(expression: str, count: int) -> None:
    assert len(unbounded(re.compile(expression))) == count


@pytest.mark.parametrize("expression", [r"^(a+)+$", r"^(?:a|aa){1,200}b", r"x(?:\w{1,40}\s?){1,40};", r"^(?:\w+=?)*!"])
def test_expressions_whose_time_doubles_are_found(expression: str) -> None:
    assert explosive(re.compile(expression))


@pytest.mark.parametrize("source", ["catalogue", "knowledge"])
def test_no_rule_doubles_its_time(source: str) -> None:
    assert [(name, one.pattern[:80]) for name, one in ALL[source] if explosive(one)] == []


@pytest.mark.parametrize(
    "expression",
    [
        r"^.*.*.*b",
        r"a{1,200}a{1,200}a{1,200}b",
        r"(?:a{1,60}b?){3}c",
        r"\w{1,60} ?\w{1,60} ?\w{1,60}:x",
        r"(?:a|[^b]{0,50}[^c]{0,50}[^d]{0,50}[^e]{0,50}f)!",
    ],
)
def test_expressions_whose_time_grows_with_a_power_are_found(expression: str) -> None:
    start = time.process_time()

    assert not explosive(re.compile(expression, re.IGNORECASE))
    assert steep(re.compile(expression, re.IGNORECASE))
    assert time.process_time() - start < 20


@pytest.mark.parametrize("expression", [r"^.*.*b", r"a{1,200}b{1,200}c{1,200}d", r"(?:x\d{1,60}){3}c", r"a.{0,300}b"])
def test_expressions_that_read_their_parts_in_one_way_are_none_of_them(expression: str) -> None:
    assert steep(re.compile(expression)) is None


@pytest.mark.parametrize("source", ["catalogue", "knowledge"])
def test_no_rule_grows_with_a_power(source: str) -> None:
    assert [(name, one.pattern[:80]) for name, one in ALL[source] if steep(one)] == []


@pytest.mark.parametrize("tried", [explosive, steep])
def test_what_other_threads_do_meanwhile_makes_no_honest_expression_slow(
    tried: Callable[[re.Pattern[str]], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue is also read where an answer is taken, beside all that `healer serve` does."""
    monkeypatch.setattr(time, "process_time", count().__next__)

    assert tried(re.compile(r"(?:x\d?){1,60} y\d{1,60} z\d{1,60}!")) is None


def test_the_short_way_is_no_other_answer_on_any_known_line() -> None:
    """orchestrator/domain/expressions.py: literals that an expression needs."""
    cases = [*(ROOT / "tests" / "cases" / "decide").glob("*.jsonl"), *(ROOT / "tests" / "cases" / "backtest").glob("*")]
    said = {
        speech.own_words(json.loads(line)["message"])
        for file in cases
        if file.suffix == ".jsonl"
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    asked = [
        expression(one.pattern, one.flags & re.IGNORECASE)
        for source in ("catalogue", "knowledge")
        for _, one in ALL[source]
    ]

    other = [
        (one.pattern.pattern[:80], words[:80])
        for words in said
        for text in {words, words.casefold()}
        for one in asked
        if one.needs and bool(one.search(text)) is not bool(one.pattern.search(text))
    ]

    assert said
    assert sum(one.needs is not None for one in asked) > len(asked) / 2
    assert other == []


def test_line_of_the_expressions_own_pieces_is_among_those_tried() -> None:
    tried = set(lines(re.compile(r"start=(?P<path>/[^ ]+).{0,300}stop")))

    assert any(line.startswith("start=/start=/start=/") for line in tried)
    assert {len(line) for line in tried} == {speech.LOOKED_AT}


def test_wording_of_a_path_is_read_where_the_path_begins() -> None:
    """Not in the middle of a relative one: what is named there is another file."""
    expressions = [re.compile(one.match, re.IGNORECASE) for one in ACTIONS["fix_permissions"].patterns]

    def paths(line: str) -> set[str]:
        return {one[1] for expression in expressions if (one := expression.search(line))}

    for before in ("", "x: ", "sh: 1: ", "open ", '"', "'", "(", "key=", "[", "`", "a,"):
        assert "/opt/job" in paths(f"{before}/opt/job: Permission denied"), before
    assert paths("opt/job: Permission denied") == set()
    assert paths("./job/run: Permission denied") == set()
