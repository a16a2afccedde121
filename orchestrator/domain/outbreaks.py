"""Outbreaks: the same error on several hosts, decided once and healed in waves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.ids import IncidentId, Signature


class OutbreakState(StrEnum):
    """Where an outbreak stands."""

    #: Its waves go on, or wait for members.
    HEALING = "healing"
    #: Every member that was acted on verified.
    HEALED = "healed"
    #: A wave had a member that did not verify, or it could not go on: a person was told for whoever was left.
    STOPPED = "stopped"
    #: It ended without an act that verified or failed: nobody took part, or all was well.
    OVER = "over"


class MemberEnd(StrEnum):
    """How an incident left its outbreak."""

    VERIFIED = "verified"
    #: The check found it well before anything was done.
    WELL = "well"
    #: Acted on, or to be, and not verified: this stops the outbreak.
    FAILED = "failed"
    #: Refused by policy, or not to be asked, or left over when the outbreak stopped; nothing was done.
    LEFT = "left"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outbreak:
    """Incidents of one signature on several hosts."""

    id: str
    signature: Signature
    template: str
    #: '' until the first member joins.
    action: str
    parameters: Mapping[str, str]
    state: OutbreakState
    #: The wave under way or the last one; 0 before the first.
    wave: int
    reason: str
    opened_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One incident of an outbreak."""

    incident_id: IncidentId
    outbreak_id: str
    host: str
    #: 0: it waits for one.
    wave: int = 0
    #: None: it waits, or its wave goes on.
    ending: MemberEnd | None = None
    reason: str = ""

    @property
    def waits(self) -> bool:
        """For a wave."""
        return self.wave == 0 and self.ending is None

    @property
    def held(self) -> bool:
        """Its wave goes on, and no other healing may touch the host."""
        return self.wave > 0 and self.ending is None


def wave_size(verified: int, most: int) -> int:
    """Hosts of the next wave: one canary until a wave verified, then twice as many each time, `most` at most."""
    return min(1 << verified, most)
