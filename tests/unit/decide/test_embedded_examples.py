"""The catalogue's own examples and counter-examples through the embedded chooser, which knows more than patterns."""

from __future__ import annotations

import pytest

from orchestrator.domain.actions import ESCALATE, Action
from tests.support.decide_case import actions, case, choose

#: A line may be a program's own, or PID 1 may say it of a unit.
SPEAKERS = ("app.service", "init.scope")

each_action = pytest.mark.parametrize("action", actions(), ids=lambda action: action.id)


def answers(line: str) -> set[str]:
    return {choose(case(line, unit=unit)).action for unit in SPEAKERS}


@each_action
def test_every_pattern_has_an_example_that_is_answered_with_its_action(action: Action) -> None:
    answered = [[answers(line) for line in pattern.examples] for pattern in action.patterns]

    assert [number for number, one in enumerate(answered, start=1) if not any(action.id in said for said in one)] == []


@each_action
def test_no_example_is_answered_with_another_action_or_called_noise(action: Action) -> None:
    lines = [line for pattern in action.patterns for line in pattern.examples]

    assert [line for line in lines if not answers(line) <= {action.id, ESCALATE}] == []


@each_action
def test_no_counter_example_is_answered_with_the_action(action: Action) -> None:
    assert [line for line in action.counter_examples if action.id in answers(line)] == []
