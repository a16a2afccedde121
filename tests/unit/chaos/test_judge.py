"""The judge of the chaos suite: what is deliberately broken must turn a row red."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.domain.ids import IncidentId, RunId, Signature
from orchestrator.domain.incidents import Incident, IncidentState, Origin, Subject, SubjectKind
from orchestrator.domain.records import Severity
from orchestrator.domain.runs import Run, RunKind, RunStatus
from tests.chaos.judge import Observation, Patient, Verdict, judge

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENT: Patient = ("web1", "patient@1.service")
HEALED = frozenset({IncidentState.HEALED})


def incident(name: str = "inc-1", state: IncidentState = IncidentState.HEALED, reason: str = "") -> Incident:
    return Incident(
        id=IncidentId(name),
        host=PATIENT[0],
        subject=Subject(kind=SubjectKind.UNIT, name=PATIENT[1]),
        signature=Signature("s"),
        template="",
        severity=Severity.ERROR,
        state=state,
        origin=Origin.LOG,
        first_seen=NOW,
        last_seen=NOW,
        count=1,
        age_at_detection=0,
        reason=reason,
    )


def run(kind: RunKind, incident_id: str = "inc-1", status: RunStatus = RunStatus.SUCCEEDED) -> Run:
    return Run(
        id=RunId(f"{incident_id}-{kind}"),
        incident_id=IncidentId(incident_id),
        kind=kind,
        action="mend",
        parameters={},
        hosts=(PATIENT[0],),
        status=status,
        started=NOW,
    )


#: One patient that fell ill once, was treated once, and is well.
GOOD = Observation(
    fallen={PATIENT: 1},
    incidents=[incident()],
    runs=[run(RunKind.CHECK), run(RunKind.ACT), run(RunKind.VERIFY)],
    starts={"inc-1-act": 1},
)


def verdict(seen: Observation, accepted: frozenset[IncidentState] = HEALED) -> Verdict:
    return judge(seen, {PATIENT: accepted})


def test_a_healing_that_was_left_alone_is_0_0_0() -> None:
    assert verdict(GOOD).clean


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param({"incidents": []}, "fell ill and has no incident", id="an incident was deleted"),
        pytest.param(
            {"incidents": [incident(state=IncidentState.ESCALATED)]}, "ended as escalated", id="it ended otherwise"
        ),
        pytest.param(
            {"incidents": [incident(reason="its healing ended in the middle, while healing")]},
            "ended in the middle",
            id="its workflow vanished",
        ),
        pytest.param({"starts": {}}, "its host knows nothing of it", id="the host never saw the act"),
    ],
)
def test_what_is_lost(broken: Mapping[str, object], said: str) -> None:
    found = verdict(replace(GOOD, **broken))  # type: ignore[arg-type]  # fields by name

    assert [said in sentence for sentence in found.lost] == [True]
    assert found.twice + found.stuck == []


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        pytest.param({"inc-1-act": 2}, "inc-1-act was started 2 times", id="a start was counted twice"),
        pytest.param({"inc-1-act": 1, "inc-9-act": 1}, "inc-9-act was started on a host", id="not on record"),
    ],
)
def test_what_ran_twice(starts: Mapping[str, int], said: str) -> None:
    found = verdict(replace(GOOD, starts=starts))

    assert [said in sentence for sentence in found.twice] == [True]
    assert found.lost + found.stuck == []


def test_two_incidents_that_treat_one_illness_ran_twice() -> None:
    again = [*GOOD.runs, run(RunKind.ACT, "inc-2")]
    seen = replace(GOOD, incidents=[incident(), incident("inc-2")], runs=again, starts={"inc-1-act": 1, "inc-2-act": 1})

    found = verdict(seen)
    twice_ill = verdict(replace(seen, fallen={PATIENT: 2}))

    assert ["fell ill 1 times and was treated by inc-1-act, inc-2-act" in sentence for sentence in found.twice] == [
        True
    ]
    assert twice_ill.clean


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param({"incidents": [incident(state=IncidentState.HEALING)]}, "is still healing", id="under way"),
        pytest.param({"holding": ["inc-1-verify"]}, "inc-1-verify still holds its host", id="a run is open"),
        pytest.param({"left_over": ["inc-1-act"]}, "inc-1-act was left behind", id="a private folder is left"),
    ],
)
def test_what_is_stuck(broken: Mapping[str, Sequence[object]], said: str) -> None:
    found = verdict(replace(GOOD, **broken))  # type: ignore[arg-type]  # fields by name

    assert [said in sentence for sentence in found.stuck] == [True]
    assert found.lost + found.twice == []


def test_an_act_that_changed_nothing_needs_no_start_and_a_joined_incident_is_an_end() -> None:
    told = frozenset({IncidentState.ESCALATED})
    refused = [run(RunKind.ACT, status=RunStatus.REFUSED)]
    incidents = [incident(state=IncidentState.ESCALATED), incident("inc-2", IncidentState.JOINED)]

    assert verdict(replace(GOOD, incidents=incidents, runs=refused, starts={}), told).clean


def test_a_verdict_says_a_thing_once() -> None:
    total = Verdict()

    total.add(verdict(replace(GOOD, starts={"inc-1-act": 2})))
    total.add(verdict(replace(GOOD, starts={"inc-1-act": 2})))

    assert len(total.twice) == 1
    assert not total.clean
