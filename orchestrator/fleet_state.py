"""Gathers what the rules over the whole fleet rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from orchestrator.domain.fleet import ALL, NO_GROUPS, FleetState
from orchestrator.domain.hosts import Host
from orchestrator.ports import Store
from orchestrator.settings import Settings

#: Budgets are counted over a rolling day.
DAY = timedelta(hours=24)
#: An escalated incident counts as sick while its error was seen within this time.
SICK_FOR = timedelta(minutes=15)
#: Attempts that a breaker looks back over at most, however long ago they were.
NEWEST = 200


def fleet_state(
    store: Store, hosts: Iterable[Host], settings: Settings, now: datetime, incident_id: str = ""
) -> FleetState:
    """As the record has it now, for the incident that asks. Raises StoreUnavailable."""
    return FleetState(
        limits=settings.fleet_limits,
        groups=groups_of(hosts),
        attempts=store.fleet_attempts(now - DAY, newest=NEWEST),
        places=store.places(),
        held=store.held_hosts(),
        sick=store.sick_hosts(now - SICK_FOR),
        resets=store.breaker_resets(),
        incident_id=incident_id,
    )


def groups_of(hosts: Iterable[Host]) -> Mapping[str, frozenset[str]]:
    """Names of hosts by group of the inventory; `all` has every one."""
    groups: dict[str, set[str]] = {}
    for host in hosts:
        for group in (ALL, *host.groups):
            if group not in NO_GROUPS:
                groups.setdefault(group, set()).add(host.name)
    return {group: frozenset(names) for group, names in groups.items()}
