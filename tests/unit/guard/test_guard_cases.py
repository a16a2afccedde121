"""Golden cases of policy: a question in, a verdict out. tests/cases/guard/README.md describes a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.actions import Action, Decision, Parameter, ParameterSource, Risk
from orchestrator.domain.fleet import FleetAttempt, FleetLimits, FleetState, Place
from orchestrator.domain.hosts import Connection, Host, HostPolicy, Mode
from orchestrator.domain.ids import Signature
from orchestrator.domain.verdicts import Attempt, Facts, Outcome, PathFacts, UnitFacts
from orchestrator.domain.windows import read_window
from orchestrator.guard.judge import ALLOWED, RULES, judge
from orchestrator.guard.question import Question

CASES = Path(__file__).parents[2] / "cases" / "guard"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEFAULTS: dict[str, dict[str, str]] = {
    "restart_service": {"service": "nginx.service"},
    "fix_permissions": {"path": "/usr/local/bin/job.sh"},
}


def _actions() -> dict[str, Action]:
    return {
        name: Action(
            id=name,
            title=name,
            when="",
            not_when="",
            risk=Risk.LOW,
            reversible=False,
            task_timeout=30,
            run_timeout=60,
            settle_seconds=1,
            hold_seconds=1,
            parameters=tuple(
                Parameter(
                    name=key,
                    type="str",
                    required=required,
                    description="",
                    source=ParameterSource(source),
                )
                for key, (source, required) in parameters.items()
            ),
        )
        for name, parameters in json.loads((CASES / "actions.json").read_text(encoding="utf-8")).items()
    }


ACTIONS = _actions()


def _host(overrides: Mapping[str, Any]) -> Host:
    policy = HostPolicy(mode=Mode(overrides.get("mode", "auto")))
    for key, value in overrides.items():
        if key == "actions":
            policy = replace(policy, actions=frozenset(value))
        elif key == "protected_services":
            policy = replace(policy, protected_services=frozenset(value))
        elif key == "windows":
            policy = replace(policy, windows=tuple(read_window(text) for text in value))
        elif key == "max_risk":
            policy = replace(policy, max_risk=Risk(value))
        elif key == "safe_directories":
            policy = replace(policy, safe_directories=tuple(value))
        elif key != "mode":
            policy = replace(policy, **{key: value})
    return Host(name="web1", groups=(), connection=Connection(kind="ssh", address="192.0.2.1"), policy=policy)


def _facts(given: Mapping[str, Any], action: Action | None, parameters: Mapping[str, Any]) -> Facts | None:
    if "facts" in given:
        return None if given["facts"] is None else Facts()
    units: dict[str, UnitFacts] = {}
    paths: dict[str, PathFacts] = {}
    for parameter in action.parameters if action else ():
        value = parameters.get(parameter.name)
        if not isinstance(value, str):
            continue
        if parameter.source == ParameterSource.UNIT:
            full = value if "." in value else f"{value}.service"
            unit: dict[str, Any] = {
                "asked": value,
                "id": full,
                "names": (full,),
                "load_state": "loaded",
                "active_state": "failed",
                "sub_state": "failed",
                **given.get("unit", {}),
            }
            frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in unit.items()}
            units[value] = UnitFacts(**frozen)
        else:
            path = {"asked": value, "realpath": value, "type": "file", "owner": "root", "mode": "0644"}
            paths[value] = PathFacts(**{**path, **given.get("path", {})})
    return Facts(units=units, paths=paths)


def question_of(given: Mapping[str, Any]) -> Question:
    """A healthy question with the case's overrides."""
    name = given.get("action", "restart_service")
    parameters = given.get("parameters", DEFAULTS.get(name, {}))
    action = ACTIONS.get(name)
    if action is not None:
        action = replace(action, risk=Risk(given.get("risk", "low")))
    age = given.get("age", 10)
    return Question(
        decision=Decision(action=name, parameters=parameters, reason="", chooser="embedded"),
        action=action,
        host=None if given.get("host", {}) is None else _host(given.get("host", {})),
        facts=_facts(given, action, parameters),
        attempts=tuple(
            Attempt(
                host=attempt.get("host", "web1"),
                action=attempt.get("action", name),
                parameters=attempt.get("parameters", parameters),
                signatures=frozenset(Signature(s) for s in attempt.get("signatures", ["sig"])),
                at=NOW - timedelta(seconds=attempt["ago"]),
            )
            for attempt in given.get("attempts", [])
        ),
        signatures=frozenset(Signature(s) for s in given.get("signatures", ["sig"])),
        age_seconds=None if age is None else float(age),
        stopped=given.get("stopped"),
        now=NOW,
        approved=given.get("approved", False),
        fleet=_fleet(given.get("fleet", {}), name),
    )


def _fleet(given: Mapping[str, Any] | None, action: str) -> FleetState | None:
    if given is None:
        return None
    limits = {**given.get("limits", {})}
    if "cooldown" in limits:
        limits["cooldown"] = timedelta(seconds=limits["cooldown"])
    return FleetState(
        limits=FleetLimits(**limits),
        groups={name: frozenset(hosts) for name, hosts in given.get("groups", {}).items()},
        attempts=tuple(
            FleetAttempt(
                host=one.get("host", "web1"),
                action=one.get("action", action),
                at=NOW - timedelta(seconds=one["ago"]),
                ended=NOW - timedelta(seconds=one["ago"] - 10),
                healed=one.get("healed"),
            )
            for row in given.get("attempts", [])
            for one in [row] * row.get("times", 1)
        ),
        places=tuple(
            Place(
                incident_id=one["incident"],
                host=one["host"],
                action=one.get("action", action),
                outcome=Outcome(one["outcome"]),
                admitted=one["outcome"] == "allowed",
                acted=one.get("acted", False),
            )
            for one in given.get("places", [])
        ),
        held=frozenset(given.get("held", [])),
        sick=frozenset(given.get("sick", [])),
        resets={scope: NOW - timedelta(seconds=ago) for scope, ago in given.get("resets", {}).items()},
        incident_id=given.get("incident", "inc-5"),
    )


def _cases() -> list[Any]:
    cases = []
    for file in sorted(CASES.glob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            cases.append(pytest.param(json.loads(line), id=f"{file.stem}:{number}"))
    return cases


@pytest.mark.parametrize("case", _cases())
def test_case(case: dict[str, Any]) -> None:
    verdict = judge(question_of(case["question"]))

    assert {"outcome": verdict.outcome, "rule": verdict.rule} == case["verdict"], f"{case['case']}: {verdict.reason}"
    for text in case.get("says", []):
        assert text in verdict.reason
    assert verdict.reason.endswith(".")


def test_every_rule_has_a_case_that_it_decides_and_allowed_has_some() -> None:
    decided = [case.values[0]["verdict"]["rule"] for case in _cases()]

    assert {rule.name for rule in RULES} | {ALLOWED} == set(decided)


def test_each_files_cases_hold_an_allowed_one() -> None:
    for file in CASES.glob("*.jsonl"):
        outcomes = {json.loads(line)["verdict"]["outcome"] for line in file.read_text().splitlines()}
        assert {Outcome.ALLOWED, Outcome.DENIED} <= outcomes, file.name


def test_an_action_other_than_the_decided_one_is_not_on_the_whitelist() -> None:
    verdict = judge(replace(question_of({}), action=ACTIONS["fix_permissions"]))

    assert (verdict.outcome, verdict.rule) == (Outcome.DENIED, "whitelist")
