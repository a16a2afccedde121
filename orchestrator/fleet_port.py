"""The part of ports.Store that rules over the whole fleet rest on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from orchestrator.domain.fleet import FleetAttempt, Place
from orchestrator.domain.incidents import IncidentState

#: The ledger's line after which a breaker counts anew; its data: {"action": id, or '' for the fleet's}.
BREAKER_RESET = "breaker.reset"
#: States in which a host has something that its incident's action has yet to help.
SICK_STATES = frozenset({IncidentState.PLANNING, IncidentState.PENDING_APPROVAL, IncidentState.HEALING})


class FleetStore(Protocol):
    """What is remembered of the fleet. Raises StoreUnavailable."""

    def places(self) -> tuple[Place, ...]:
        """Incidents that are `healing` and judged, oldest first."""
        ...

    def held_hosts(self) -> frozenset[str]:
        """Hosts that an act or a rollback holds: it runs, or the host may still be at work."""
        ...

    def fleet_attempts(self, since: datetime, *, newest: int) -> tuple[FleetAttempt, ...]:
        """Act runs that began at `since` or later, and the newest of before up to `newest` in all; oldest first.

        Each host of a run is one of its own. One that was refused, or never began, is none.
        """
        ...

    def sick_hosts(self, since: datetime) -> frozenset[str]:
        """Hosts with an incident that an action was chosen for, and which is under way and not verified; or which was
        escalated and seen at `since` or later."""
        ...

    def breaker_resets(self) -> Mapping[str, datetime]:
        """When each breaker was last told to count anew: by action, '' for the fleet's."""
        ...
