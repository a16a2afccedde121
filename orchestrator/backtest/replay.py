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

from orchestrator.catalog import Catalog
from orchestrator.decide.candidates import candidates
from orchestrator.detect.signature import signature
from orchestrator.domain.actions import ESCALATE, Candidate, Decision, ParameterSource
from orchestrator.domain.fleet import FleetState
from orchestrator.domain.incidents import Incident, IncidentState, Origin, SubjectKind
from orchestrator.domain.pages import IncidentFilter, Page
from orchestrator.domain.records import LogRecord
from orchestrator.domain.verdicts import Facts, Outcome, Verdict
from orchestrator.errors import HealingError, InventoryError
from orchestrator.guard.judge import judge
from orchestrator.guard.question import Question
from orchestrator.ports import Case, Chooser, Fleet, Reader, Store

#: Records that a chooser is shown at most: as many as while healing.
SHOWN_RECORDS = 20
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
    store: Recorded, since: datetime, *, catalog: Catalog, chooser: Chooser, fleet: Fleet | None
) -> Iterator[Difference]:
    """Each incident that was decided since then, oldest first. `fleet` None: policy is not asked again.

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
    fleet: Fleet | None,
) -> Difference:
    records = store.evidence(incident.id, SHOWN_RECORDS)
    now = _decide(incident, records, was, catalog, chooser)
    judged = _judge(store, incident, now, catalog, fleet, verdict)
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
    actions = tuple(catalog.actions.values())
    unit = incident.subject.name if incident.subject.kind is SubjectKind.UNIT else ""
    unit = unit or next((record.unit for record in reversed(records) if record.unit), "")
    case = Case(
        incident_id=incident.id,
        host=incident.host,
        unit=unit,
        records=records,
        candidates=candidates(actions, unit, records, _units(was.offered, catalog)),
        actions=actions,
        signatures=tuple(signature(record.unit, record.message)[0] for record in records),
    )
    try:
        return chooser.choose(case)
    except HealingError as error:
        return Decision(action=ESCALATE, parameters={}, reason=str(error), chooser=chooser.name)


def _units(offered: tuple[Candidate, ...] | None, catalog: Catalog) -> list[str] | None:
    """Units that were offered then, so that the host had them; None: it is not on record what was."""
    if offered is None:
        return None
    found = set()
    for candidate in offered:
        action = catalog.get(candidate.action)
        for parameter in action.parameters if action else ():
            if parameter.source is ParameterSource.UNIT:
                found |= {one if "." in one else f"{one}.service" for one in candidate.values.get(parameter.name, ())}
    return sorted(found)


def _judge(
    store: Recorded, incident: Incident, decision: Decision, catalog: Catalog, fleet: Fleet | None, was: Verdict | None
) -> Verdict:
    if fleet is None:
        return was or Verdict(outcome=Outcome.UNKNOWN, rule="", reason="It was never judged.")
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
