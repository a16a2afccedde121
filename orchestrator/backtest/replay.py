"""Recorded incidents through another chooser, catalogue or policy: what would be decided otherwise, one by one.

What was recorded stands in for the host: the lines, what was offered, and the facts that the verdict rested on. A
decision about something else has no facts, and policy says `unknown` of it: it would have to look first. Rules about
the moment of the whole fleet (budgets, breakers, the kill switch) are asked as of a quiet fleet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from orchestrator.case import SHOWN_RECORDS, case_of, offered_units
from orchestrator.catalog import Catalog
from orchestrator.domain.actions import ESCALATE, Decision
from orchestrator.domain.fleet import FleetState
from orchestrator.domain.incidents import Incident, IncidentState, Origin
from orchestrator.domain.pages import IncidentFilter, Page
from orchestrator.domain.records import LogRecord
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.errors import HealingError, InventoryError
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.ports import Chooser, Fleet, Reader, Store

#: Incidents that are read at a time.
AT_ONCE = 200
DAY = timedelta(hours=24)


class Recorded(Store, Reader, Protocol):
    """What a replay reads of the store."""


class Change(StrEnum):
    """How the answer of now stands to the one of then."""

    SAME = "same"
    #: Something is done that was not, or nothing that was.
    NEWLY_ACTS = "newly acts"
    NO_LONGER_ACTS = "no longer acts"
    #: Another action, or other parameters.
    OTHER = "another action"
    #: The decision is the same, and policy says otherwise.
    JUDGED = "judged otherwise"
    #: Neither acts, but one tells a person and the other does not.
    TOLD = "told otherwise"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One incident, as it was decided and as it would be."""

    incident: Incident
    line: str
    was: Decision
    was_verdict: Verdict | None
    now: Decision
    now_verdict: Verdict
    change: Change

    @property
    def healed(self) -> bool:
        """Whether what was done then healed it."""
        return self.incident.state is IncidentState.HEALED


def replay(
    store: Recorded, since: datetime, *, catalog: Catalog, chooser: Chooser, fleet: Fleet
) -> Iterator[Difference]:
    """Each incident that was decided since then, oldest first, judged by the policy of `fleet`.

    Raises StoreUnavailable, RecordError, InventoryError.
    """
    after: str | None = ""
    while after is not None:
        found = store.page_decisions(IncidentFilter(since=since), Page(limit=AT_ONCE, after=after, oldest_first=True))
        for incident, was, verdict in found.items:
            yield _difference(store, incident, was, verdict, catalog, chooser, fleet)
        after = found.next


def _difference(
    store: Recorded,
    incident: Incident,
    was: Decision,
    verdict: Verdict | None,
    catalog: Catalog,
    chooser: Chooser,
    fleet: Fleet,
) -> Difference:
    records = store.evidence(incident.id, SHOWN_RECORDS)
    now = _decide(incident, records, was, catalog, chooser)
    judged = _judge(store, incident, now, catalog, fleet)
    return Difference(
        incident=incident,
        line=records[-1].message if records else incident.template,
        was=was,
        was_verdict=verdict,
        now=now,
        now_verdict=judged,
        change=_change(was, verdict, now, judged),
    )


def _decide(
    incident: Incident, records: tuple[LogRecord, ...], was: Decision, catalog: Catalog, chooser: Chooser
) -> Decision:
    # Units that were offered then are such as the host had.
    units = None if was.offered is None else offered_units(was.offered, catalog.actions)
    case = case_of(incident, records, tuple(catalog.actions.values()), units)
    try:
        return chooser.choose(case)
    except HealingError as error:
        return Decision(action=ESCALATE, parameters={}, reason=str(error), chooser=chooser.name)


def _judge(store: Recorded, incident: Incident, decision: Decision, catalog: Catalog, fleet: Fleet) -> Verdict:
    try:
        host = fleet.host(incident.host)
    except InventoryError:
        reason = f"{incident.host} is not in this inventory."
        return Verdict(outcome=Outcome.UNKNOWN, rule="host", reason=reason)
    at = incident.first_seen
    attempts = [one for one in store.attempts(incident.host, at - DAY) if one.at < at]
    return judge(
        Question(
            decision=decision,
            action=catalog.get(decision.action),
            host=host,
            facts=_facts(store.facts(incident.id), decision),
            attempts=tuple(attempts),
            signatures=store.signatures(incident.id),
            age_seconds=None if incident.origin is Origin.TRIGGER else incident.age_at_detection,
            stopped=None,
            now=at,
            # A quiet fleet.
            fleet=FleetState(),
        )
    )


def _facts(found: Facts | None, decision: Decision) -> Facts | None:
    """None where nothing was asked about what the decision names: it would be looked at first."""
    values = set(decision.parameters.values())
    return found if found is not None and (not values or values & {*found.units, *found.paths}) else None


def _change(was: Decision, verdict: Verdict | None, now: Decision, judged: Verdict) -> Change:
    if was.acts != now.acts:
        return Change.NEWLY_ACTS if now.acts else Change.NO_LONGER_ACTS
    if (was.action, dict(was.parameters)) != (now.action, dict(now.parameters)):
        return Change.OTHER if was.acts else Change.TOLD
    if was.acts and verdict is not None and verdict.outcome is not judged.outcome:
        return Change.JUDGED
    return Change.SAME


def counted(differences: Sequence[Difference]) -> dict[Change, tuple[int, int]]:
    """How many of each change, and of how many of those what was done then had healed."""
    found: dict[Change, tuple[int, int]] = dict.fromkeys(Change, (0, 0))
    for one in differences:
        number, healed = found[one.change]
        found[one.change] = (number + 1, healed + one.healed)
    return found
