"""How lists of /api/v1 are asked for, and how the next page is named."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator

from api.errors import ApiError
from api.requests import Level, moment
from api.state import ApiState
from api.v1.shapes import ROOT, List
from orchestrator import policies
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Signature
from orchestrator.domain.pages import Between, Page, Slice
from orchestrator.policies import PolicyValue
from orchestrator.ports import BadCursor

T = TypeVar("T")
S = TypeVar("S")

Moment = Annotated[datetime, BeforeValidator(moment)]


def _page(
    limit: Annotated[int, Query(ge=1, le=500, description="items on a page")] = 50,
    cursor: Annotated[str, Query(max_length=400, description="`next` of the page before has it")] = "",
    sort: Annotated[Literal["newest", "oldest"], Query(description="which come first")] = "newest",
) -> Page:
    return Page(limit=limit, after=decoded(cursor), oldest_first=sort == "oldest")


def _between(
    since: Annotated[Moment | None, Query(description="not before this; ISO 8601, without an offset UTC")] = None,
    until: Annotated[Moment | None, Query(description="before this")] = None,
) -> Between:
    return Between(since=since.astimezone(UTC) if since else None, until=until.astimezone(UTC) if until else None)


#: What a list's route asks for.
Paged = Annotated[Page, Depends(_page)]
Span = Annotated[Between, Depends(_between)]
HostName = Annotated[str | None, Query(max_length=255, description="a host of the inventory")]
ActionName = Annotated[str | None, Query(max_length=64, description="an action of the whitelist")]
MinLevel = Annotated[Level | None, Query(description="this bad or worse")]

SignatureName = Annotated[Signature | None, Query(max_length=200, description="of a masked line, as incidents have it")]


def listed(request: Request, ask: Callable[[], Slice[T]], shape: Callable[[T], S]) -> List[S]:
    """One page with the URL of the next. Raises BadCursor."""
    found = ask()
    following = None
    if found.next is not None:
        asked = request.url.include_query_params(cursor=encoded(found.next))
        following = f"{asked.path}?{asked.query}"
    return List(items=[shape(one) for one in found.items], next=following)


def missing(what: str, where: str) -> ApiError:
    """404."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what}. GET {where} lists them.")


def host_named(state: ApiState, name: str) -> Host:
    """Raises ApiError 404."""
    found = next((one for one in state.fleet.hosts() if one.name == name), None)
    if found is None:
        raise missing("host", f"{ROOT}/hosts")
    return found


def policy_now(state: ApiState) -> tuple[PolicyValue, ...]:
    """What keeps every host from being healed at this moment."""
    actions = [one.id for one in state.actions]
    return policies.values_of_now(state.store, state.fleet.hosts(), state.settings, actions, datetime.now(UTC))


def encoded(place: str) -> str:
    """A place in a list as a cursor."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def decoded(cursor: str) -> str:
    """The place. Raises BadCursor."""
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode("utf-8")
    except (UnicodeError, binascii.Error, ValueError) as error:
        raise BadCursor(cursor) from error
