"""Lists for people: by page, filtered, each by an index, whatever the store holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from orchestrator.domain import ids
from orchestrator.domain.actions import ESCALATE, NONE, Decision
from orchestrator.domain.ids import Signature
from orchestrator.domain.incidents import Incident, Origin
from orchestrator.domain.outbreaks import Outbreak
from orchestrator.domain.pages import (
    ApprovalFilter,
    Between,
    EventFilter,
    IncidentFilter,
    OutbreakFilter,
    Page,
    RunFilter,
    Slice,
)
from orchestrator.domain.runs import Run
from orchestrator.domain.verdicts import Approval, Verdict
from orchestrator.ports import BadCursor, Event
from orchestrator.record import ledger, rows, schema
from orchestrator.record.database import Records
from orchestrator.record.outbreaks import as_outbreak
from orchestrator.record.schema import (
    APPROVAL,
    BY_PEOPLE,
    DECISION,
    EVENT,
    INCIDENT,
    OUTBREAK,
    OUTBREAK_MEMBER,
    RUN,
    RUN_HOST,
    SIGNATURE,
    VERDICT,
)

T = TypeVar("T")
#: Between a moment and an id in a cursor; in neither of them.
_BAR = "|"
_NOTHING = (ESCALATE, NONE)
#: The decision of a row, beside the one that a list may show.
_CHOSEN = DECISION.alias("chosen")
#: So long before its first line, or the question about it, no incident was opened: clocks differ, questions wait.
LONG_BEFORE = timedelta(days=7)


class ReadingRecords(Records):
    """Implements ports.Reader."""

    def page_incidents(self, wanted: IncidentFilter, page: Page) -> Slice[Incident]:
        """In the order in which they were opened."""
        return self._numbered(_incidents(sa.select(INCIDENT), wanted), INCIDENT.c.seq, page, rows.incident)

    def page_decisions(self, wanted: IncidentFilter, page: Page) -> Slice[tuple[Incident, Decision, Verdict | None]]:
        """Incidents that were decided, each with its decision and the verdict that stands."""
        joined = INCIDENT.join(DECISION).join(VERDICT, VERDICT.c.incident_id == INCIDENT.c.id, isouter=True)
        query = sa.select(
            *INCIDENT.c,
            *(column.label(f"decision_{column.name}") for column in DECISION.c),
            *(column.label(f"verdict_{column.name}") for column in VERDICT.c),
        ).select_from(joined)
        return self._numbered(_incidents(query, wanted), INCIDENT.c.seq, page, _decided)

    def page_runs(self, wanted: RunFilter, page: Page) -> Slice[Run]:
        """In the order in which they were started."""
        query = _between(sa.select(RUN, schema.database_now().label("database_now")), RUN.c.started, wanted)
        if wanted.host is not None:
            query = query.where(RUN.c.id.in_(sa.select(RUN_HOST.c.run_id).where(RUN_HOST.c.host == wanted.host)))
        if wanted.incident_id is not None:
            query = query.where(RUN.c.incident_id == wanted.incident_id)
        if wanted.action is not None:
            query = query.where(RUN.c.action == wanted.action)
        query = _among(_among(query, RUN.c.kind, wanted.kinds), RUN.c.status, wanted.statuses)
        return self._dated(query, RUN.c.started, RUN.c.id, page, rows.run)

    def page_approvals(self, wanted: ApprovalFilter, page: Page) -> Slice[Approval]:
        """In the order in which they were asked."""
        query = _between(sa.select(APPROVAL), APPROVAL.c.asked_at, wanted)
        if wanted.host is not None:
            query = query.where(APPROVAL.c.host == wanted.host)
        if wanted.signature is not None:
            query = query.where(APPROVAL.c.incident_id.in_(_seen_on(wanted.signature, wanted.since)))
        return self._dated(
            _among(query, APPROVAL.c.answer, wanted.answers), APPROVAL.c.asked_at, APPROVAL.c.id, page, rows.approval
        )

    def page_outbreaks(self, wanted: OutbreakFilter, page: Page) -> Slice[Outbreak]:
        """In the order in which they were opened."""
        query = _among(_between(sa.select(OUTBREAK), OUTBREAK.c.opened_at, wanted), OUTBREAK.c.state, wanted.states)
        if wanted.host is not None:
            members = sa.select(OUTBREAK_MEMBER.c.outbreak_id).where(OUTBREAK_MEMBER.c.host == wanted.host)
            query = query.where(OUTBREAK.c.id.in_(members))
        for column, value in ((OUTBREAK.c.action, wanted.action), (OUTBREAK.c.signature, wanted.signature)):
            if value is not None:
                query = query.where(column == value)
        return self._numbered(query, OUTBREAK.c.seq, page, as_outbreak)

    def page_events(self, wanted: EventFilter, page: Page) -> Slice[Event]:
        """In the order in which they were written."""
        query = _between(sa.select(EVENT), EVENT.c.at, wanted)
        for column, value in (
            (EVENT.c.host, wanted.host),
            (EVENT.c.incident_id, wanted.incident_id),
            (EVENT.c.actor, wanted.actor),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.actor is not None and wanted.actor != ledger.US:
            # It says nothing new, but names the small index of what people did.
            query = query.where(BY_PEOPLE)
        if wanted.kind is not None:
            query = query.where(EVENT.c.kind.in_(self._kinds(wanted.kind)))
        if wanted.people is not None:
            query = query.where(BY_PEOPLE if wanted.people else ~BY_PEOPLE)
        return self._numbered(query, EVENT.c.seq, page, rows.event)

    def _kinds(self, wanted: str) -> list[str]:
        """The kind itself, and those on record that begin with it as their first word: a step in the index for each."""
        found, last = [wanted], f"{wanted}."
        with self._database.read() as connection:
            while True:
                # The character behind the dot ends the range.
                following = sa.select(sa.func.min(EVENT.c.kind)).where(EVENT.c.kind > last, EVENT.c.kind < f"{wanted}/")
                name = connection.execute(following).scalar()
                if name is None:
                    return found
                found.append(last := name)

    def _numbered(
        self, query: sa.Select[Any], seq: sa.Column[int], page: Page, made: Callable[[rows.Row], T]
    ) -> Slice[T]:
        if page.after:
            if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
                raise BadCursor(page.after)
            place = int(page.after)
            query = query.where(seq > place if page.oldest_first else seq < place)
        query = query.order_by(seq.asc() if page.oldest_first else seq.desc())
        return self._sliced(query, page, made, lambda row: str(row["seq"]))

    def _dated(
        self, query: sa.Select[Any], at: sa.Column[datetime], row_id: sa.Column[str], page: Page,
        made: Callable[[rows.Row], T],
    ) -> Slice[T]:  # fmt: skip
        if page.after:
            place = read_place(page.after)
            name = place[1]
            near, later, same = (
                (at >= place[0], at > place[0], row_id > name)
                if page.oldest_first
                else (at <= place[0], at < place[0], row_id < name)
            )
            # The first condition is the index's: without it, all that comes before the place is looked at.
            query = query.where(near, sa.or_(later, sa.and_(at == place[0], same)))
        order = (at.asc(), row_id.asc()) if page.oldest_first else (at.desc(), row_id.desc())
        return self._sliced(query.order_by(*order), page, made, lambda row: place_at(row[at.name], row["id"]))

    def _sliced(
        self, query: sa.Select[Any], page: Page, made: Callable[[rows.Row], T], place: Callable[[rows.Row], str]
    ) -> Slice[T]:
        with self._database.read() as connection:
            found = list(connection.execute(query.limit(page.limit + 1)).mappings())
        shown = found[: page.limit]
        more = len(found) > page.limit
        return Slice(items=tuple(made(row) for row in shown), next=place(shown[-1]) if more else None)


def place_at(moment: datetime, name: str) -> str:
    """A place in a list that is ordered by time, and by name where times are the same."""
    return f"{moment.isoformat()}{_BAR}{name}"


def read_place(after: str) -> tuple[datetime, str]:
    """Raises BadCursor."""
    moment, bar, name = after.partition(_BAR)
    try:
        at = datetime.fromisoformat(moment)
    except ValueError as error:
        raise BadCursor(after) from error
    if not bar or at.tzinfo is None:
        raise BadCursor(after)
    return at, name


def _seen_on(signature: Signature, since: datetime | None) -> sa.Select[Any]:
    """Ids of the incidents that the signature was seen on; those alone that may be of interest since then."""
    query = sa.select(SIGNATURE.c.incident_id).where(SIGNATURE.c.signature == signature)
    # Ids sort by time, and the index has them behind the signature: one that is common was seen on ever so many.
    return query if since is None else query.where(SIGNATURE.c.incident_id >= ids.id_at(since - LONG_BEFORE))


def _incidents(query: sa.Select[Any], wanted: IncidentFilter) -> sa.Select[Any]:
    query = _among(_between(query, INCIDENT.c.first_seen, wanted), INCIDENT.c.state, wanted.states)
    if wanted.host is not None:
        query = query.where(INCIDENT.c.host == wanted.host)
    if wanted.severity is not None:
        query = query.where(INCIDENT.c.severity >= int(wanted.severity))
    if not wanted.injected:
        query = query.where(INCIDENT.c.origin != Origin.INJECTED.value)
    if wanted.signature is not None:
        query = query.where(INCIDENT.c.id.in_(_seen_on(wanted.signature, wanted.since)))
    if wanted.outbreak_id is not None:
        members = sa.select(OUTBREAK_MEMBER.c.incident_id).where(OUTBREAK_MEMBER.c.outbreak_id == wanted.outbreak_id)
        query = query.where(INCIDENT.c.id.in_(members))
    if wanted.text:
        names = (INCIDENT.c.subject_name, INCIDENT.c.template)
        query = query.where(sa.or_(*(name.icontains(wanted.text, autoescape=True) for name in names)))
    of_decision = [
        condition
        for value, condition in (
            (wanted.action, _CHOSEN.c.action == wanted.action),
            (wanted.chooser, _CHOSEN.c.chooser == wanted.chooser),
            (wanted.acts, _CHOSEN.c.action.not_in(_NOTHING) if wanted.acts else _CHOSEN.c.action.in_(_NOTHING)),
        )
        if value is not None
    ]
    if of_decision:
        # Looked up for one incident after another until the page is full: most of a store may have been decided so.
        query = query.where(sa.exists().where(_CHOSEN.c.incident_id == INCIDENT.c.id, *of_decision))
    return query


def _between(query: sa.Select[Any], at: sa.Column[datetime], wanted: Between) -> sa.Select[Any]:
    if wanted.since is not None:
        query = query.where(at >= wanted.since)
    if wanted.until is not None:
        query = query.where(at < wanted.until)
    return query


def _among(query: sa.Select[Any], column: sa.Column[str], values: Sequence[str]) -> sa.Select[Any]:
    return query.where(column.in_([str(value) for value in values])) if values else query


def _decided(row: rows.Row) -> tuple[Incident, Decision, Verdict | None]:
    def part(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}

    verdict = part("verdict_")
    return (
        rows.incident(row),
        rows.decision(part("decision_")),
        rows.verdict(verdict) if verdict["outcome"] is not None else None,
    )
