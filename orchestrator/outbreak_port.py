"""The outbreak part of ports.Store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.outbreaks import Member, MemberEnd, Outbreak, OutbreakState

#: States of incidents that say nothing of how many hosts are sick, and those that may still join an outbreak.
UNCOUNTED = frozenset({IncidentState.JOINED, IncidentState.NOISE, IncidentState.EXPIRED})
UNDECIDED = frozenset({IncidentState.OPEN, IncidentState.PLANNING})


class OutbreakStore(Protocol):
    """What is remembered of outbreaks. Raises StoreUnavailable."""

    def outbreak_for(self, incident_id: str, *, hosts: int, since: datetime) -> Outbreak | None:
        """The outbreak under way that the incident could join; else the last that was stopped since, of its signatures.

        Else it is opened by this incident, where the signature that opened it was seen on so many hosts in incidents
        that were opened since, come from logs and are in no outbreak; None where not.
        """
        ...

    def join_outbreak(self, incident_id: str, decision: Decision) -> str:
        """The id of the outbreak in which the incident waits for a wave; '' where it stands alone.

        It is being planned; the outbreak is under way, has the very same decision if any, and no member of its host.
        """
        ...

    def take_member(self, incident_id: str, wave: int) -> bool:
        """Into the wave, which holds the host from then on; False: it can't be, and nothing is changed.

        Its outbreak is under way, itself healing, and neither a run, another wave nor another healing that has begun
        to run holds the host.
        """
        ...

    def end_member(self, incident_id: str, ending: MemberEnd, reason: str) -> None:
        """It leaves, and its host is free. The first ending stands."""
        ...

    def end_outbreak(self, outbreak_id: str) -> bool:
        """Whether it is over: it ends by this where nobody waits, is in a wave, or may still join."""
        ...

    def stop_outbreak(self, outbreak_id: str, reason: str) -> bool:
        """Compare and set; False where it was over."""
        ...

    def outbreak(self, outbreak_id: str) -> Outbreak | None: ...
    def outbreaks(self, *, states: Sequence[OutbreakState] = (), limit: int = 100) -> tuple[Outbreak, ...]: ...
    def members(self, outbreak_id: str) -> tuple[Member, ...]:
        """In the order in which their incidents were opened."""
        ...

    def membership(self, incident_id: str) -> Member | None: ...
    def in_wave(self, host: str) -> bool:
        """Whether a wave holds the host."""
        ...
