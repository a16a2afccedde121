"""How often healings help and how long they take: the same figures on pages and for programs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.intervals import wilson as interval
from orchestrator.ports import Charts, Ended

#: How a day's acts are told apart: healed, under way, not healed.
ENDS = ("healed", "under_way", "not_healed")


@dataclass(frozen=True, slots=True)
class Rate:
    """Percent that healed, and its interval of 95 %."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from the act's start to the last run's end, of so many healings; None: of none."""

    timed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class OfAction:
    """How one action went; the newest first."""

    action: str
    ended: tuple[Ended, ...]
    rate: Rate | None
    #: Of those that healed.
    times: Times


@dataclass(frozen=True, slots=True)
class Day:
    """Acts that began on a day, in UTC."""

    #: ISO 8601.
    day: str
    #: How many ended in which way.
    ends: Counter[str]
    times: Times


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the last days."""

    days: int
    acts: int
    healed: int
    #: Acts whose incidents are over.
    over: int
    rate: Rate | None
    times: Times
    #: Each day, the oldest first.
    by_day: tuple[Day, ...]
    by_action: tuple[OfAction, ...]
    #: Lines that opened the most incidents, and how many.
    common: tuple[tuple[str, int], ...]


def figures(store: Charts, days: int, now: datetime) -> Figures:
    """Injected errors are left out."""
    since = now - timedelta(days=days)
    counted, ended = store.acts_by_day(since), store.ended_acts(since)
    by_day = {(now - timedelta(days=back)).date().isoformat(): Counter[str]() for back in reversed(range(days))}
    for day, _, state, number in counted:
        # The first one is cut: it began so many days ago to the minute.
        by_day.setdefault(day, Counter())[_end(state)] += number
    timed: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        timed[one.started.astimezone(UTC).date().isoformat()].append(one)
    healed = sum(ends["healed"] for ends in by_day.values())
    over = healed + sum(ends["not_healed"] for ends in by_day.values())
    return Figures(
        days=days,
        acts=sum(number for *_, number in counted),
        healed=healed,
        over=over,
        rate=rate(healed, over),
        times=times(ended),
        by_day=tuple(Day(day, ends, times(timed[day])) for day, ends in sorted(by_day.items())),
        by_action=of_actions(ended),
        common=store.common_templates(since),
    )


def of_actions(ended: Sequence[Ended]) -> tuple[OfAction, ...]:
    """By the action's name."""
    by_action: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        by_action[one.action].append(one)
    return tuple(
        OfAction(name, tuple(found), rate(sum(map(_healed, found)), len(found)), times(found))
        for name, found in sorted(by_action.items())
    )


def rate(good: int, total: int) -> Rate | None:
    """None of nothing."""
    return Rate(100 * good / total, *interval(good, total)) if total else None


def times(ended: Sequence[Ended]) -> Times:
    """Of those that healed."""
    seconds = [one.seconds for one in ended if _healed(one)]
    return Times(len(seconds), percentile(seconds, 50), percentile(seconds, 95))


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def _healed(one: Ended) -> bool:
    return one.state is IncidentState.HEALED


def _end(state: IncidentState) -> str:
    return "healed" if state is IncidentState.HEALED else "not_healed" if state in FINAL else "under_way"
