"""Audit: who did what and when, and a month of it to take away."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from api.errors import ApiError
from api.pages.incidents import following, paged
from api.pages.site import page
from api.roles import needs
from api.state import ApiState, State
from api.v1 import shapes
from orchestrator.domain.access import Role
from orchestrator.domain.pages import EventFilter, Page
from orchestrator.ports import Event

router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

#: Lines that an export reads at a time.
AT_ONCE = 1000
COLUMNS = ("seq", "at", "kind", "host", "incident_id", "actor", "text")
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


#: Which lines: '' for all.
Lines = Literal["", "people", "healings"]
PEOPLE: dict[str, bool | None] = {"": None, "people": True, "healings": False}


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the ledger is asked for; days of the form 2026-01-31, the last one included."""

    kind: str = ""
    actor: str = ""
    host: str = ""
    incident: str = ""
    lines: Lines = ""
    since: str = ""
    until: str = ""

    def filter(self) -> EventFilter:
        """Raises ApiError 422."""
        until = _day("until", self.until)
        return EventFilter(
            kind=self.kind or None,
            actor=self.actor or None,
            host=self.host or None,
            incident_id=self.incident or None,
            people=PEOPLE[self.lines],
            since=_day("since", self.since),
            until=until and until + timedelta(days=1),
        )


def _day(name: str, given: str) -> datetime | None:
    if not given:
        return None
    try:
        day = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    if day is None or not 1970 < day.year < 9999:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"{name}: accepted is a day such as 2026-01-31.", field=name
        )
    return day


@router.get("/audit")
def audit(request: Request, state: State, asked: Annotated[Asked, Depends()]) -> HTMLResponse:
    """Newest first."""
    found = state.store.page_events(asked.filter(), paged(request))
    return page(
        request,
        "audit.html",
        stopped=state.store.stopped(),
        events=found.items,
        next=following(request, found.next),
        asked=asked,
        month=f"{datetime.now(UTC):%Y-%m}",
    )


@router.get("/audit/export")
def export(state: State, month: str, form: Literal["csv", "jsonl"] = "jsonl", lines: Lines = "") -> StreamingResponse:
    """One month of the ledger, oldest first. `month` is such as 2026-01, in UTC."""
    try:
        since = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        until = since.replace(year=since.year + since.month // 12, month=since.month % 12 + 1)
    except ValueError as error:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "month: accepted is a month such as 2026-01.", field="month"
        ) from error
    written = _csv if form == "csv" else _jsonl
    kind = "text/csv" if form == "csv" else "application/x-ndjson"
    return StreamingResponse(
        written(_events(state, EventFilter(since=since, until=until, people=PEOPLE[lines]))),
        media_type=kind,
        headers={"content-disposition": f'attachment; filename="audit-{since:%Y-%m}.{form}"'},
    )


def _events(state: ApiState, wanted: EventFilter) -> Iterator[Event]:
    after: str | None = ""
    while after is not None:
        found = state.store.page_events(wanted, Page(limit=AT_ONCE, after=after, oldest_first=True))
        yield from found.items
        after = found.next


def _jsonl(events: Iterator[Event]) -> Iterator[str]:
    for event in events:
        yield json.dumps(shapes.event(event).model_dump(mode="json"), ensure_ascii=True) + "\n"


def _csv(events: Iterator[Event]) -> Iterator[str]:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    for event in events:
        cells = [str(getattr(event, name)) for name in COLUMNS]
        cells[1] = event.at.astimezone(UTC).isoformat()
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        yield written.getvalue()
        written.seek(0)
        written.truncate()
    yield written.getvalue()
