"""What comes in: checked here, field by field, with the accepted values in every complaint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.errors import ApiError
from orchestrator.domain.records import Severity
from orchestrator.ports import Fleet

#: How far a client's clock may be ahead.
AHEAD = timedelta(minutes=5)
LEVELS = ", ".join(severity.name for severity in Severity)
#: Host names that a complaint lists at most.
LISTED = 50


def _level(value: Any) -> Any:
    if isinstance(value, Severity):
        return value
    name = value.upper() if isinstance(value, str) else ""
    if name not in Severity.__members__:
        raise ValueError(f"accepted are {LEVELS}")
    return Severity[name]


def moment(value: Any) -> Any:
    """ISO 8601; without an offset it is UTC. Raises ValueError."""
    if isinstance(value, datetime):
        return value
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError("accepted is ISO 8601, such as 2026-01-31T08:00:00Z; without an offset it is UTC") from error
    if not 1970 < time.year < 9999:
        raise ValueError("accepted are the years 1971 to 9998")
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time).astimezone(UTC)


def timestamp(value: Any) -> Any:
    """A moment that is not in the future. Raises ValueError."""
    time = moment(value)
    if time > datetime.now(UTC) + AHEAD:
        raise ValueError("the time lies in the future")
    return time


def _printable(value: str) -> str:
    """Control characters of a message never reach a log or a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value)


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("say it in a few words")
    return _printable(value.strip())


Level = Annotated[
    Severity, BeforeValidator(_level), WithJsonSchema({"type": "string", "enum": list(Severity.__members__)})
]
Text = Annotated[str, Field(min_length=1, max_length=8192), AfterValidator(_said)]
#: A unit name as systemd takes it, with or without its suffix.
Service = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$")]


class Report(BaseModel):
    """An error that a client saw: POST heal."""

    model_config = ConfigDict(extra="forbid")

    service: Service
    message: Text
    level: Level
    timestamp: Annotated[
        datetime | None, BeforeValidator(lambda value: None if value is None else timestamp(value))
    ] = None
    host: str | None = None


class Injection(BaseModel):
    """An error that never was: POST inject-error."""

    model_config = ConfigDict(extra="forbid")

    service: Service
    message: Text
    level: Level
    source: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_said)] = "api"
    host: str | None = None


def host_of(fleet: Fleet, asked: str | None) -> str:
    """The host that is meant. Raises ApiError 422: left out where there are several, or unknown."""
    names = sorted(host.name for host in fleet.hosts())
    shown = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    if asked is None:
        if len(names) == 1:
            return names[0]
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "host_needed",
            f"host: name one of the inventory's {len(names)} hosts: {shown}. Nothing was done.",
            field="host",
        )
    if asked not in names:
        near = ", ".join(get_close_matches(asked, names, n=3))
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "host_unknown",
            f"host: there is no such host in the inventory. {f'Near: {near}' if near else f'Known: {shown}'}. "
            "Nothing was done.",
            field="host",
        )
    return asked
