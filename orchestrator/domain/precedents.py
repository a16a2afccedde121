"""Precedents: what was done about an error before, how that ended, and what a person says of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from orchestrator.domain.ids import IncidentId, Signature

#: An action with its parameters: what two deeds share that are the same.
Chosen = tuple[str, tuple[tuple[str, str], ...]]


class Standing(StrEnum):
    """What a person says of an error."""

    #: This is chosen at once, however often it healed.
    PINNED = "pinned"
    #: This is never chosen, whoever decides.
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A person's word about one signature; it stands until it is changed or withdrawn."""

    signature: Signature
    #: The masked text of its lines, for people.
    template: str
    standing: Standing
    #: What is chosen, or never is; '' forbids whatever there is.
    action: str
    #: Of what is pinned; empty where something is forbidden.
    parameters: Mapping[str, str]
    actor: str
    reason: str
    at: datetime

    @property
    def pinned(self) -> Chosen | None:
        """What is to be chosen; None where nothing is pinned."""
        return chosen(self.action, self.parameters) if self.standing is Standing.PINNED else None

    def forbids(self, action: str) -> bool:
        """Whether an action must not be chosen."""
        return self.standing is Standing.FORBIDDEN and self.action in ("", action)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """One act of a healing that is over."""

    incident_id: IncidentId
    host: str
    action: str
    parameters: Mapping[str, str]
    #: Verified, and silent for the hold time. Everything else after an act is a failure.
    healed: bool
    #: Who decided it.
    chooser: str
    at: datetime
    #: Of the lines that it was decided by.
    shown: frozenset[Signature]

    @property
    def chosen(self) -> Chosen:
        """What was done."""
        return chosen(self.action, self.parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Precedents:
    """All that is known of one signature."""

    signature: Signature
    #: Newest first, a bounded number.
    deeds: tuple[Deed, ...] = ()
    #: None: nobody said anything.
    word: Word | None = None

    def learned(self, sight: Collection[Signature] | None = None) -> dict[Chosen, int]:
        """How often each deed healed since anything last failed for this signature. One failure forgets all.

        `sight`: the lines before us. A deed counts only where all lines that it was decided by are among them: the one
        that told the cause may be what is missing. None: every deed counts.
        """
        counts: dict[Chosen, int] = {}
        for deed in takewhile(lambda one: one.healed, self.deeds):
            if sight is None or deed.shown <= set(sight):
                counts[deed.chosen] = counts.get(deed.chosen, 0) + 1
        return counts

    def done(self, what: Chosen) -> tuple[Deed, ...]:
        """The deeds that were the same, newest first."""
        return tuple(deed for deed in self.deeds if deed.chosen == what)


def chosen(action: str, parameters: Mapping[str, str]) -> Chosen:
    """Parameters are compared as they are: names of units without `.service`, normal paths."""
    return action, tuple(sorted(parameters.items()))
