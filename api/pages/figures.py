"""Actions and Statistics: how often it helps, how long it takes, and how well each host is."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.pages.site import page, span
from api.roles import needs
from api.scores import scores
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.intervals import wilson as interval
from orchestrator.ports import Ended

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Rows of a table of hosts or services.
ROWS = 50
#: Drawing of healings a day, in its own units.
WIDTH, HEIGHT = 720, 160


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a day's column."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@router.get("/actions")
def actions(request: Request, state: State) -> HTMLResponse:
    """The whitelist, each row with how it went in the last 30 days."""
    ended = state.store.ended_acts(span(30))
    by_action: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        by_action[one.action].append(one)
    rows = [
        (
            action,
            len(by_action[action.id]),
            rate(by_action[action.id]),
            percentile([one.seconds for one in by_action[action.id]], 50),
            [one for one in by_action[action.id] if one.state is not IncidentState.HEALED][:3],
        )
        for action in state.actions
    ]
    return page(request, "actions.html", stopped=state.store.stopped(), rows=rows)


@router.get("/statistics")
def statistics(request: Request, state: State, days: int = 30) -> HTMLResponse:
    """Healings by day and result, times, the most common lines, and health."""
    days = days if days in (7, 30, 90) else 30
    since, moment = span(days), datetime.now(UTC)
    counted = state.store.acts_by_day(since)
    ended = state.store.ended_acts(since)
    seconds = [one.seconds for one in ended if one.state is IncidentState.HEALED]
    scored = scores(state, moment)
    a_day = Counter[str]()
    for day, _, _, number in counted:
        a_day[day] += number
    healed = sum(number for _, _, one, number in counted if one is IncidentState.HEALED)
    over = sum(number for _, _, one, number in counted if one in FINAL)
    return page(
        request,
        "statistics.html",
        stopped=state.store.stopped(),
        days=days,
        total=sum(number for *_, number in counted),
        healed=healed,
        over=over,
        interval=wilson(healed, over),
        p50=percentile(seconds, 50),
        p95=percentile(seconds, 95),
        timed=len(seconds),
        bars=columns(counted, days, moment),
        width=WIDTH,
        height=HEIGHT,
        highest=max(a_day.values(), default=0),
        templates=state.store.common_templates(since),
        hosts=scored.hosts[:ROWS],
        services=scored.services[:ROWS],
    )


def rate(ended: Sequence[Ended]) -> tuple[float, float, float] | None:
    """Percent that healed, and its interval; None where nothing was tried."""
    return wilson(sum(one.state is IncidentState.HEALED for one in ended), len(ended))


def wilson(good: int, total: int) -> tuple[float, float, float] | None:
    """Percent, and its interval of 95 %; None of nothing."""
    if not total:
        return None
    return 100 * good / total, *interval(good, total)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def columns(counted: Sequence[tuple[str, str, IncidentState, int]], days: int, moment: datetime) -> list[Bar]:
    """A column a day: healed below, under way above it, the rest on top."""
    tones = {"good": Counter[str](), "busy": Counter[str](), "bad": Counter[str]()}
    for day, _, state, number in counted:
        tone = "good" if state is IncidentState.HEALED else "bad" if state in FINAL else "busy"
        tones[tone][day] += number
    names = [(moment - timedelta(days=back)).date().isoformat() for back in reversed(range(days))]
    highest = max((sum(tones[tone][name] for tone in tones) for name in names), default=0) or 1
    step, bars = WIDTH / days, []
    words = {"good": "healed", "busy": "under way", "bad": "not healed"}
    for place, name in enumerate(names):
        top = float(HEIGHT)
        for tone, found in tones.items():
            if found[name]:
                tall = HEIGHT * found[name] / highest
                top -= tall
                title = f"{name}: {found[name]} {words[tone]}"
                bars.append(Bar(place * step + step * 0.1, top, step * 0.8, tall, tone, title))
    return bars
