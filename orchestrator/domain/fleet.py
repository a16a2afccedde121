"""What spans hosts: how much may be done at once and in a day, what was done, and who is being healed now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.domain.verdicts import Outcome

#: Groups that say nothing of what hosts have in common.
NO_GROUPS = frozenset({"ungrouped"})
#: The group that every host is in.
ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetLimits:
    """What the settings allow over the whole fleet. Every default is the careful one; none is without limit."""

    #: Act runs within 24 hours.
    budget_host: int = 20
    budget_action: int = 50
    budget_fleet: int = 100
    #: Hosts in healing at once, and how much of a group: at least one host.
    hosts_max: int = 4
    group_percent: int = 50
    #: More than this much of a group sick at once stops all, where the group has so many hosts.
    sick_percent: int = 50
    sick_least: int = 4
    #: More than this much of the last attempts failed, where so many have ended: nothing acts for the cool-down.
    failed_percent: int = 50
    failed_least: int = 6
    failed_last: int = 20
    cooldown: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetAttempt:
    """One act run on one host, and what came of it."""

    host: str
    action: str
    at: datetime
    #: When the run ended; None: it has not.
    ended: datetime | None = None
    #: None: not known yet, its healing goes on.
    healed: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An incident whose healing is under way."""

    incident_id: str
    host: str
    action: str
    #: The verdict that stands.
    outcome: Outcome
    #: It was allowed right before acting, and takes up a host since.
    admitted: bool = False
    #: Its act run has begun, so it is among the attempts.
    acted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetState:
    """What the rules over the fleet rest on."""

    limits: FleetLimits = field(default_factory=FleetLimits)
    #: Hosts of each group of the inventory, `all` included.
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Those of the last 24 hours and the newest of before, oldest first.
    attempts: tuple[FleetAttempt, ...] = ()
    #: Oldest incident first.
    places: tuple[Place, ...] = ()
    #: Hosts that an act or a rollback holds.
    held: frozenset[str] = frozenset()
    #: Hosts with something that an action might help.
    sick: frozenset[str] = frozenset()
    #: When a person last had each breaker count anew: by action, '' for the fleet's.
    resets: Mapping[str, datetime] = field(default_factory=dict)
    #: The incident that asks; '': none.
    incident_id: str = ""
