"""How well a host or a service is, as one number that a person can compute by hand.

100 points, less some for each trouble of the last seven days: what stands now costs its whole price, what is over
costs less by the day and nothing after a week. More trouble never raises the number, and waiting never lowers it.
docs/dashboard.md has the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.incidents import UNDER_WAY, IncidentState

#: After which what is over is forgotten.
WEEK = timedelta(days=7)
WHOLE = 100
#: Points of what stands now.
STANDING = {**dict.fromkeys(UNDER_WAY, 20), IncidentState.ESCALATED: 40}
#: Points of what is over, on its first day.
OVER = {IncidentState.HEALED: 10, IncidentState.EXPIRED: 15, IncidentState.ALREADY_WELL: 5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One incident, as far as health is concerned."""

    host: str
    subject: str
    state: IncidentState
    last_seen: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The number, and what it was made of."""

    score: int
    #: Points and what they are for, the dearest first.
    losses: tuple[tuple[float, Trouble], ...]


def health(troubles: Sequence[Trouble], now: datetime) -> Health:
    """Of one host or one service, from its incidents of the last week. Pure."""
    losses = [(price(trouble, now), trouble) for trouble in troubles]
    dearest = sorted((one for one in losses if one[0] > 0), key=lambda one: -one[0])
    return Health(score=max(0, round(WHOLE - sum(points for points, _ in dearest))), losses=tuple(dearest))


def price(trouble: Trouble, now: datetime) -> float:
    """Points that one trouble costs now."""
    standing = STANDING.get(trouble.state)
    if standing is not None:
        return float(standing)
    # A clock that was set back makes nothing dearer than on its first day.
    left = min(1.0, max(0.0, 1 - (now - trouble.last_seen) / WEEK))
    return OVER.get(trouble.state, 0) * left
