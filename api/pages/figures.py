"""Actions and Statistics: how often it helps, how long it takes, and how well each host is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.figures import ENDS, Day, OfAction, figures, of_actions, times
from api.pages.site import page, span, took
from api.roles import needs
from api.scores import scores
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.domain.incidents import IncidentState

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Rows of a table of hosts or services; failures of an action that are named.
ROWS, FAILURES = 50, 3
#: Drawing of healings a day, in its own units.
WIDTH, HEIGHT = 720, 160
#: How each end of a day's acts is drawn, and said.
DRAWN = dict(zip(ENDS, (("good", "healed"), ("busy", "under way"), ("bad", "not healed")), strict=True))


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
    known = {one.action: one for one in of_actions(state.store.ended_acts(span(30)))}
    rows = []
    for action in state.actions:
        went = known.get(action.id) or OfAction(action.id, (), None, times(()))
        rows.append((action, went, [one for one in went.ended if one.state is not IncidentState.HEALED][:FAILURES]))
    return page(request, "actions.html", stopped=state.store.stopped(), rows=rows)


@router.get("/statistics")
def statistics(request: Request, state: State, days: int = 30) -> HTMLResponse:
    """Healings by day and result, times, the most common lines, and health."""
    moment = datetime.now(UTC)
    found, scored = figures(state.store, days if days in (7, 30, 90) else 30, moment), scores(state, moment)
    return page(
        request,
        "statistics.html",
        stopped=state.store.stopped(),
        figures=found,
        bars=columns(found.by_day),
        width=WIDTH,
        height=HEIGHT,
        highest=max(one.ends.total() for one in found.by_day),
        spans=spans(found.by_day),
        longest=max((one.times.p95 for one in found.by_day if one.times.p95 is not None), default=None),
        hosts=scored.hosts[:ROWS],
        services=scored.services[:ROWS],
    )


def columns(by_day: Sequence[Day]) -> list[Bar]:
    """A column a day: healed below, under way above it, the rest on top."""
    highest = max((one.ends.total() for one in by_day), default=0) or 1
    bars = []
    for one, left, wide in _places(by_day):
        top = float(HEIGHT)
        for end in ENDS:
            if one.ends[end]:
                tall = HEIGHT * one.ends[end] / highest
                top -= tall
                tone, word = DRAWN[end]
                title = f"{one.day}: {one.ends[end]} {word}"
                bars.append(Bar(left, top, wide, tall, tone, title))
    return bars


def spans(by_day: Sequence[Day]) -> list[Bar]:
    """A column a day for the time to heal: up to the median, and on to what 95 % were within."""
    longest = max((one.times.p95 or 0.0 for one in by_day), default=0.0) or 1.0
    bars = []
    for one, left, wide in _places(by_day):
        for tone, word, seconds in (("plain", "95 % within", one.times.p95), ("busy", "median", one.times.p50)):
            if seconds is not None:
                tall = max(1.0, HEIGHT * seconds / longest)
                title = f"{one.day}: {word} {took(seconds)}, {one.times.timed} healed"
                bars.append(Bar(left, HEIGHT - tall, wide, tall, tone, title))
    return bars


def _places(by_day: Sequence[Day]) -> Iterator[tuple[Day, float, float]]:
    """Each day, with where its column begins and how wide it is."""
    step = WIDTH / max(1, len(by_day))
    return ((one, place * step + step * 0.1, step * 0.8) for place, one in enumerate(by_day))
