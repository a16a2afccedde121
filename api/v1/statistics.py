"""GET: how often healings help, and how long they take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.figures import ENDS, Figures, Rate, figures
from api.roles import needs
from api.state import State
from api.v1 import shapes
from api.v1.shapes import ROOT
from orchestrator.domain.access import Role

router = APIRouter(prefix=ROOT, dependencies=[needs(Role.VIEWER)], tags=["read"])


class RateShape(shapes.Shape):
    """Percent that healed, with its 95 % interval."""

    percent: float
    low: float
    high: float


class TimesShape(shapes.Shape):
    """Seconds that healings took."""

    timed: int = Field(description="how many they are of")
    p50: float | None
    p95: float | None


class DayShape(BaseModel):
    """Acts of one day, in UTC, by how they ended."""

    day: str = Field(examples=["2026-01-31"])
    healed: int
    under_way: int
    not_healed: int
    seconds: TimesShape


class OfActionShape(BaseModel):
    """How one action went."""

    action: str
    ended: int
    success: RateShape | None
    seconds: TimesShape


class CommonShape(BaseModel):
    """A line that opened many incidents."""

    template: str
    incidents: int


class FiguresShape(BaseModel):
    """Of the last days."""

    days: int
    acts: int
    healed: int
    over: int = Field(description="acts whose incidents are over")
    success: RateShape | None = Field(description="null where none is over")
    seconds: TimesShape
    by_day: list[DayShape]
    by_action: list[OfActionShape]
    common: list[CommonShape] = Field(description="the most common lines, masked")


class StatisticsShape(BaseModel):
    """What is counted; attempts are act runs."""

    total_attempts: int
    successful: int
    failed: int
    pending: int
    success_rate: float = Field(description="percent of ended attempts that healed")
    figures: FiguresShape


@router.get("/statistics")
def statistics(
    state: State,
    injected: bool = False,
    days: Annotated[int, Query(ge=1, le=400, description="which the figures are of, without injected errors")] = 30,
) -> StatisticsShape:
    """Attempts and their ends, of all that is on record; and figures of the last days, as on the Statistics page."""
    counted = state.store.statistics(injected=injected)
    return StatisticsShape(
        figures=_figures(figures(state.store, days, datetime.now(UTC))),
        total_attempts=counted.total_attempts,
        successful=counted.successful,
        failed=counted.failed,
        pending=counted.pending,
        success_rate=counted.success_rate,
    )


def _figures(one: Figures) -> FiguresShape:
    return FiguresShape(
        days=one.days,
        acts=one.acts,
        healed=one.healed,
        over=one.over,
        success=_rate(one.rate),
        seconds=TimesShape.model_validate(one.times),
        by_day=[
            DayShape(
                day=of.day,
                **{end: of.ends[end] for end in ENDS},
                seconds=TimesShape.model_validate(of.times),
            )
            for of in one.by_day
        ],
        by_action=[
            OfActionShape(
                action=of.action,
                ended=len(of.ended),
                success=_rate(of.rate),
                seconds=TimesShape.model_validate(of.times),
            )
            for of in one.by_action
        ],
        common=[CommonShape(template=template, incidents=number) for template, number in one.common],
    )


def _rate(one: Rate | None) -> RateShape | None:
    return RateShape.model_validate(one) if one else None
