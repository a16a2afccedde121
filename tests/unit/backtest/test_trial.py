"""The embedded chooser on real lines that are kept for measuring: floors, so that no change makes it worse unseen."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from orchestrator import catalog
from orchestrator.backtest import score, trial
from orchestrator.backtest.cases import LabelledCase, Wanted, read
from orchestrator.backtest.score import Answered, Figure, Grade, figures
from orchestrator.decide.embedded import EmbeddedChooser
from tests.support.decide_case import ROOT

CASES = Path(__file__).parents[2] / "cases" / "backtest" / "incidents.jsonl"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Percent that is reached at least: plain, and without what speaks of one case alone.
FLOORS = {
    score.RIGHT: (94.0, 75.0),
    score.NO_ACTION: (99.0, 97.0),
    score.ACTED_WELL: (97.0, 96.0),
    score.TOLD_APART: (95.0, 80.0),
}


@cache
def measured() -> tuple[tuple[Figure, ...], tuple[Figure, ...]]:
    actions = catalog.load(ROOT / "playbooks", ROOT / "roles")
    cases = read(CASES, actions.actions)
    plain = trial.tried(cases, actions, EmbeddedChooser(), NOW)
    return figures(plain), figures(trial.crossed(cases, actions, NOW))


@pytest.mark.parametrize("name", FLOORS)
def test_it_is_as_good_as_it_was(name: str) -> None:
    plain, crossed = (next(one for one in found if one.name == name) for found in measured())

    assert plain.total > 50
    assert plain.percent >= FLOORS[name][0]
    assert crossed.percent >= FLOORS[name][1]


def test_nothing_that_must_not_be_is_chosen() -> None:
    plain, crossed = (next(one for one in found if one.name == score.HARMFUL) for found in measured())

    assert (plain.hits, plain.total) == (0, 187)
    assert crossed.hits <= 1


def test_cross_validation_leaves_out_what_speaks_of_one_case_alone() -> None:
    actions = catalog.load(ROOT / "playbooks", ROOT / "roles")
    label = (Wanted(action="kill_zombie_process", params={}),)

    def case(number: int) -> LabelledCase:
        return LabelledCase(
            id=f"case-{number}",
            group="zombie",
            unit="app.service",
            message=f"app  {number}  0.0  0.0  0  0 ?  Z  Oct26  2:26 [app] <defunct>",
            priority=4,
            right=label,
            acceptable=(),
            must_not=(),
        )

    (alone,) = trial.crossed((case(1),), actions, NOW)
    together = trial.crossed((case(1), case(2)), actions, NOW)

    assert alone.grade is not Grade.RIGHT
    assert [one.grade for one in together] == [Grade.RIGHT, Grade.RIGHT]


def answered(label: str, action: str, must_not: str = "free_disk_space", acceptable: str = "escalate") -> Answered:
    def wanted(name: str) -> tuple[Wanted, ...]:
        return (Wanted(action=name, params={}),)

    case = LabelledCase(
        id="one",
        group="g",
        unit="",
        message="m",
        priority=3,
        right=wanted(label),
        acceptable=wanted(acceptable),
        must_not=wanted(must_not),
    )
    return Answered(case=case, action=action, params={}, reason="", seconds=0.002)


@pytest.mark.parametrize(
    ("action", "grade"),
    [
        ("restart_service", Grade.RIGHT),
        ("escalate", Grade.ACCEPTABLE),
        ("free_disk_space", Grade.HARMFUL),
        ("none", Grade.WRONG),
    ],
)
def test_what_an_answer_is_worth(action: str, grade: Grade) -> None:
    assert answered("restart_service", action).grade is grade


def test_figures_count_what_their_names_say() -> None:
    rows = [
        answered("restart_service", "restart_service"),
        answered("restart_service", "escalate"),
        answered("none", "none"),
        answered("none", "escalate"),
        answered("none", "free_disk_space"),
    ]

    found = {one.name: (one.hits, one.total) for one in figures(rows)}

    assert found == {
        score.RIGHT: (1, 2),
        score.NO_ACTION: (2, 3),
        score.ACTED_WELL: (1, 2),
        score.TOLD_APART: (1, 3),
        score.HARMFUL: (1, 5),
    }
    assert score.milliseconds(rows) == pytest.approx(2.0)
    assert score.by_class(rows) == {"g": {Grade.RIGHT: 2, Grade.ACCEPTABLE: 2, Grade.WRONG: 0, Grade.HARMFUL: 1}}


def test_an_interval_is_wilsons() -> None:
    # Newcombe 1998 has (0.596, 0.982) for 9 of 10.
    low, high = Figure(name="", hits=9, total=10).interval
    assert (round(low, 1), round(high, 1)) == (59.6, 98.2)
    assert Figure(name="", hits=0, total=0).interval == (0.0, 100.0)
