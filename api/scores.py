"""How well each host and each service is: the same numbers on pages and for programs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from api.state import ApiState
from orchestrator.domain.health import WEEK, Health, Trouble, health

Scored = tuple[tuple[str, Health], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """The least well first."""

    #: Every host of the inventory, and whatever else was in trouble.
    hosts: Scored
    #: What was in trouble within a week, on whichever hosts.
    services: Scored


def scores(state: ApiState, now: datetime) -> Scores:
    """Of the whole fleet."""
    by_host: dict[str, list[Trouble]] = defaultdict(list)
    by_service: dict[str, list[Trouble]] = defaultdict(list)
    for trouble in state.store.troubles(now - WEEK):
        by_host[trouble.host].append(trouble)
        by_service[trouble.subject].append(trouble)
    for host in state.fleet.hosts():
        by_host[host.name] += []
    return Scores(_worst_first(by_host, now), _worst_first(by_service, now))


def score_of(state: ApiState, host: str, now: datetime) -> Health:
    """Of one host."""
    return health(state.store.troubles(now - WEEK, host), now)


def _worst_first(troubles: dict[str, list[Trouble]], now: datetime) -> Scored:
    scored = ((name, health(found, now)) for name, found in troubles.items())
    return tuple(sorted(scored, key=lambda one: (one[1].score, one[0])))
