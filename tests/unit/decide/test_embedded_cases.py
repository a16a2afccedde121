"""Labelled log lines through the embedded chooser, as the command line asks it. tests/cases/decide/README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator import catalog as catalogue
from orchestrator.catalog import Catalog
from orchestrator.decide.embedded import EmbeddedChooser
from orchestrator.domain.actions import ESCALATE, NONE
from orchestrator.explain import explain

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "decide"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@cache
def whitelist() -> Catalog:
    return catalogue.load(ROOT / "playbooks", ROOT / "roles")


def decide(case: Mapping[str, Any]) -> dict[str, Any]:
    return _decide(json.dumps({key: case[key] for key in ("unit", "message", "priority")}))


@cache
def _decide(line: str) -> dict[str, Any]:
    (answer,) = explain([line], catalog=whitelist(), chooser=EmbeddedChooser(), fleet=None, now=NOW)
    decision: dict[str, Any] = answer["decision"]
    return decision


def fits(decision: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the decision is the wanted one; empty params in the wanted one mean any."""
    return decision["action"] == wanted["action"] and wanted["params"] in ({}, decision["params"])


def ways(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All answers that are right."""
    label = case["label"]
    return [label, *({**label, "params": params} for params in case.get("params_alt", []))]


def _cases() -> list[Any]:
    lines = [line for file in sorted(CASES.glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()]
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", _cases())
def test_case(case: Mapping[str, Any]) -> None:
    decision = decide(case)

    assert not any(fits(decision, one) for one in case["must_not"]), f"harmful: {decision}"
    assert any(fits(decision, one) for one in [*ways(case), *case["acceptable"]]), f"{case['label']}: {decision}"
    assert decision["reason"]
    assert set(decision["params"]) <= {"service", "path"}


@pytest.mark.parametrize("case", [case.values[0] for case in _cases()], ids=lambda case: case["id"])
def test_a_case_contradicts_itself_nowhere(case: Mapping[str, Any]) -> None:
    known = {ESCALATE, NONE, *whitelist().actions}

    assert case["label"]["action"] in known
    assert not any(fits(right, one) for right in [*ways(case), *case["acceptable"]] for one in case["must_not"])
    assert not any(fits(right, one) for right in ways(case) for one in case["acceptable"])


def test_ids_are_told_apart_and_named_like_their_file() -> None:
    ids = [case.values[0]["id"] for case in _cases()]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in CASES.glob("*.jsonl"))

    assert len(set(ids)) == len(ids) == lines
    assert {name.rpartition("-")[0] for name in ids} == {file.stem for file in CASES.glob("*.jsonl")}


def test_every_action_and_both_ways_to_leave_things_alone_are_right_somewhere() -> None:
    right = {case.values[0]["label"]["action"] for case in _cases()}

    assert right == {ESCALATE, NONE, *whitelist().actions}


@pytest.mark.parametrize(("gathered", "floor"), [(False, 0.99), (True, 0.92)])
def test_nearly_all_lines_are_answered_as_labelled_not_just_acceptably(gathered: bool, floor: float) -> None:
    cases = [case.values[0] for case in _cases() if ("source" in case.values[0]) is gathered]
    right = sum(any(fits(decide(case), one) for one in ways(case)) for case in cases)

    assert right / len(cases) >= floor


def test_gathered_lines_that_have_an_action_get_it_with_its_parameters() -> None:
    cases = [case.values[0] for case in _cases() if "source" in case.values[0]]
    acting = [case for case in cases if case["label"]["action"] in whitelist().actions]
    right = sum(any(fits(decide(case), one) for one in ways(case)) for case in acting)

    assert right / len(acting) >= 0.90


def test_gathered_lines_that_nothing_helps_are_told_apart_and_left_alone() -> None:
    cases = [case.values[0] for case in _cases() if "source" in case.values[0]]
    alone = [case for case in cases if case["label"]["action"] in (ESCALATE, NONE)]
    answers = [(decide(case)["action"], case["label"]["action"]) for case in alone]

    assert sum(answer in (ESCALATE, NONE) for answer, _ in answers) / len(alone) >= 0.97
    assert sum(answer == right for answer, right in answers) / len(alone) >= 0.9
