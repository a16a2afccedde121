"""Golden cases of tests/cases/outcome: adding one needs no Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.act.outcome import REASON_LIMIT, Ending, judge
from orchestrator.domain.runs import RunKind, RunStatus

CASES = sorted((Path(__file__).parents[2] / "cases" / "outcome").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_events_say(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    ending = Ending(**({"rc": 0} | case.get("ending", {})))

    outcome = judge(RunKind(case["kind"]), case["hosts"], case["events"], ending)

    expected = {"reason": "", "changed": False, "settled": True, "ends": {}} | case["expect"]
    assert {
        "status": outcome.status,
        "reason": outcome.reason,
        "changed": outcome.changed,
        "settled": outcome.settled,
        "ends": {host: [end.status, end.reason, end.settled] for host, end in outcome.ends.items()},
    } == expected


def test_every_status_of_a_run_that_was_started_has_a_case() -> None:
    seen = {json.loads(path.read_text(encoding="utf-8"))["expect"]["status"] for path in CASES}
    assert seen == set(RunStatus) - {RunStatus.RUNNING, RunStatus.BUSY}


def test_a_plan_has_changed_nothing_and_may_refuse_after_what_it_would_have_changed() -> None:
    would = {"event": "runner_on_ok", "event_data": {"host": "a", "task": "Say it", "res": {"changed": True}}}
    refuses = {"event": "runner_on_failed", "event_data": {"host": "a", "task": "T", "res": {"msg": "refused: no"}}}
    stats = {"event": "playbook_on_stats", "event_data": {"ok": {"a": 1}, "changed": {"a": 1}}}
    failed = {"event": "playbook_on_stats", "event_data": {"failures": {"a": 1}, "changed": {"a": 1}}}

    fine = judge(RunKind.PLAN, ["a"], [would, stats], Ending(rc=0))
    refused = judge(RunKind.PLAN, ["a"], [would, refuses, failed], Ending(rc=2))

    assert (fine.status, fine.changed) == (RunStatus.SUCCEEDED, False)
    assert (refused.status, refused.reason, refused.changed) == (RunStatus.REFUSED, "no", False)
    # A role that says so after a change is not believed.
    assert judge(RunKind.ACT, ["a"], [would, refuses, failed], Ending(rc=2)).status is RunStatus.FAILED


def test_a_reason_is_bounded() -> None:
    failed = {"event": "runner_on_failed", "event_data": {"host": "a", "task": "T", "res": {"msg": "x" * 9999}}}
    stats = {"event": "playbook_on_stats", "event_data": {"failures": {"a": 1}}}

    outcome = judge(RunKind.ACT, ["a"], [failed, stats], Ending(rc=2))

    assert len(outcome.reason) == REASON_LIMIT
    assert outcome.reason.endswith("...")


@pytest.mark.parametrize("event", [{}, {"event": "EOF"}, {"event": "playbook_on_stats", "event_data": None}])
def test_an_event_without_its_data_never_makes_a_success(event: dict[str, Any]) -> None:
    assert judge(RunKind.ACT, ["a"], [event], Ending(rc=0)).status is not RunStatus.SUCCEEDED
