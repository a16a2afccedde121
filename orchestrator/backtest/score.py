"""Grades, and the figures that count, each with its interval of 95 %."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.backtest.cases import LabelledCase
from orchestrator.domain.actions import ESCALATE, NONE
from orchestrator.domain.intervals import wilson


class Grade(StrEnum):
    """What an answer was worth."""

    RIGHT = "right"
    ACCEPTABLE = "acceptable"
    WRONG = "wrong"
    HARMFUL = "harmful"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A case with the answer to it."""

    case: LabelledCase
    action: str
    params: Mapping[str, str]
    reason: str
    seconds: float

    @property
    def acted(self) -> bool:
        """Whether anything would have been done."""
        return self.action not in (ESCALATE, NONE)

    @property
    def grade(self) -> Grade:
        """Right beats harmful: a label is never among what must not be."""
        for grade, wanted in (
            (Grade.RIGHT, self.case.right),
            (Grade.HARMFUL, self.case.must_not),
            (Grade.ACCEPTABLE, self.case.acceptable),
        ):
            if any(one.fits(self.action, self.params) for one in wanted):
                return grade
        return Grade.WRONG


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """So many of so many, in percent, and what that may be by chance."""

    name: str
    hits: int
    total: int

    @property
    def percent(self) -> float:
        """100 of nothing: nothing was missed."""
        return 100 * self.hits / self.total if self.total else 100.0

    @property
    def interval(self) -> tuple[float, float]:
        """Percent, from and to."""
        return wilson(self.hits, self.total)


RIGHT, NO_ACTION, ACTED_WELL = "right action", "no action where none helps", "right or acceptable where it acted"
TOLD_APART, HARMFUL = "escalate and none told apart", "harmful"


def figures(answers: Sequence[Answered]) -> tuple[Figure, ...]:
    """The five that count, in the order of the names above."""
    with_action = [one for one in answers if one.case.label.action not in (ESCALATE, NONE)]
    without = [one for one in answers if one.case.label.action in (ESCALATE, NONE)]
    acted = [one for one in answers if one.acted]

    def share(name: str, rows: Sequence[Answered], holds: Callable[[Answered], bool]) -> Figure:
        return Figure(name=name, hits=sum(map(holds, rows)), total=len(rows))

    return (
        share(RIGHT, with_action, lambda one: one.grade is Grade.RIGHT),
        share(NO_ACTION, without, lambda one: not one.acted),
        share(ACTED_WELL, acted, lambda one: one.grade in (Grade.RIGHT, Grade.ACCEPTABLE)),
        share(TOLD_APART, without, lambda one: one.grade is Grade.RIGHT),
        share(HARMFUL, answers, lambda one: one.grade is Grade.HARMFUL),
    )


def by_class(answers: Sequence[Answered]) -> dict[str, dict[Grade, int]]:
    """How many of each grade, by class in the order of their names."""
    counted: dict[str, dict[Grade, int]] = {}
    for name in sorted({one.case.group for one in answers}):
        rows = [one for one in answers if one.case.group == name]
        counted[name] = {grade: sum(one.grade is grade for one in rows) for grade in Grade}
    return counted


def right_by_class(answers: Sequence[Answered]) -> dict[str, Figure]:
    """What was answered right, of each class in the order of their names."""
    return {
        name: Figure(name=name, hits=grades[Grade.RIGHT], total=sum(grades.values()))
        for name, grades in by_class(answers).items()
    }


def milliseconds(answers: Sequence[Answered]) -> float:
    """Of one answer, the mean."""
    return 1000 * sum(one.seconds for one in answers) / len(answers) if answers else 0.0
