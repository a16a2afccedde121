"""How well each host and each service is: the same numbers on pages and for programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from api.state import ApiState
from orchestrator.domain.health import WEEK, Health, Trouble, health

Scored = tuple[tuple[str, Health], ...]
#: A score below which a host is shown as sick, and as unwell.
SICK, UNWELL = 60, 90


@dataclass(frozen=True, slots=True)
class Scores:
    """The least well first."""

    #: Every host of the inventory, and whatever else was in trouble.
    hosts: Scored
    #: What was in trouble within a week, on whichever hosts.
    services: Scored


def scores(state: ApiState, now: datetime) -> Scores:
    """Of the whole fleet."""
    troubles = state.store.troubles(now - WEEK)
    by_service: dict[str, list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        by_service[trouble.subject].append(trouble)
    services = {name: health(found, now) for name, found in by_service.items()}
    return Scores(_worst_first(_of_hosts(state, troubles, now)), _worst_first(services))


def of_hosts(state: ApiState, now: datetime) -> dict[str, Health]:
    """Of every host of the inventory, and of whatever else was in trouble."""
    return _of_hosts(state, state.store.troubles(now - WEEK), now)


def score_of(state: ApiState, host: str, now: datetime) -> Health:
    """Of one host."""
    return health(state.store.troubles(now - WEEK, host), now)


def tone_of(score: int) -> str:
    """good, asks or bad: how a host or a service of that score is shown."""
    return "good" if score >= UNWELL else "asks" if score >= SICK else "bad"


def _of_hosts(state: ApiState, troubles: Iterable[Trouble], now: datetime) -> dict[str, Health]:
    by_host: dict[str, list[Trouble]] = {host.name: [] for host in state.fleet.hosts()}
    for trouble in troubles:
        by_host.setdefault(trouble.host, []).append(trouble)
    return {name: health(found, now) for name, found in by_host.items()}


def _worst_first(scored: dict[str, Health]) -> Scored:
    return tuple(sorted(scored.items(), key=lambda one: (one[1].score, one[0])))
