"""No action of the whitelist is let through with a value that is none, whatever parameter it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.domain.actions import Action, Decision, ParameterSource
from orchestrator.domain.verdicts import Outcome, Verdict
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from tests.support.bad_values import BAD
from tests.support.decide_case import actions

GOOD = {
    ParameterSource.UNIT: "nginx.service",
    ParameterSource.PATH: "/opt/app/run.sh",
    # Below no safe directory: it is not touched.
    ParameterSource.FILE_SYSTEM: "/srv/data/x",
}
#: Templates, and what JSON can hold that is no text. No role is asked these: a run's variables hold plain texts alone.
ODD = ("{{ 1 }}", "{% raw %}", ["nginx.service"], {"a": "b"}, 7, True)

each_action = pytest.mark.parametrize("action", actions(), ids=lambda action: action.id)


def verdict(action: Action, **given: Any) -> Verdict:
    parameters: Mapping[str, Any] = {one.name: GOOD[one.source] for one in action.parameters} | given
    return judge(
        Question(
            decision=Decision(action=action.id, parameters=parameters, reason="", chooser="embedded"),
            action=action,
            host=None,
            facts=None,
            attempts=(),
            signatures=frozenset(),
            age_seconds=10.0,
            stopped=None,
            now=datetime(2026, 3, 1, tzinfo=UTC),
            approved=True,
        )
    )


@each_action
def test_bad_value_is_refused_with_a_sentence_that_names_the_parameter(action: Action) -> None:
    for parameter in action.parameters:
        for value in (*BAD[parameter.source], *ODD):
            said = verdict(action, **{parameter.name: value})

            assert (said.outcome, said.rule) == (Outcome.DENIED, "whitelist"), value
            assert f"of {action.id}'s parameter {parameter.name} is not a plain " in said.reason
            assert said.reason.isprintable(), value
            assert len(said.reason) < 300


@each_action
def test_good_values_are_well_formed_and_no_parameter_is_too_many(action: Action) -> None:
    assert verdict(action).rule != "whitelist"
    assert verdict(action, more="x").rule == "whitelist"


@each_action
def test_required_parameter_that_is_missing_is_refused(action: Action) -> None:
    for parameter in action.parameters:
        assert (verdict(action, **{parameter.name: None}).rule == "whitelist") == parameter.required
