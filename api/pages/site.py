"""What every page has: its frame, the words it is written in, and errors as pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from rich.console import Console
from rich.text import Text

from api.errors import ApiError
from api.roles import who
from api.scores import tone_of
from orchestrator.domain.access import Role
from orchestrator.domain.ids import is_outbreak
from orchestrator.domain.incidents import UNDER_WAY, IncidentState
from orchestrator.domain.speech import printable

HERE = Path(__file__).resolve().parent.parent
#: The way through the dashboard: path, word.
MENU = (
    ("/", "Now"),
    ("/incidents", "Incidents"),
    ("/outbreaks", "Outbreaks"),
    ("/approvals", "Approvals"),
    ("/runs", "Runs"),
    ("/actions", "Actions"),
    ("/memory", "Memory"),
    ("/statistics", "Statistics"),
    ("/audit", "Audit"),
)
#: How a state is shown: good, busy, asks, bad, or plain.
TONES = {
    **dict.fromkeys(("healed", "already_well", "succeeded", "approved", "ok", "allowed"), "good"),
    **dict.fromkeys(("open", "planning", "healing", "verified", "running", "changed", "waits"), "busy"),
    **dict.fromkeys(("pending_approval", "pending", "needs_approval", "warning"), "asks"),
    **dict.fromkeys(("escalated", "failed", "unknown", "timed_out", "refused", "denied", "unreachable"), "bad"),
    **dict.fromkeys(("well", "connected", "proven", "pinned"), "good"),
    **dict.fromkeys(("connecting", "polling", "learning", "waits for a wave", "its wave goes on"), "busy"),
    **dict.fromkeys(("down", "forbidden"), "bad"),
    **dict.fromkeys(("canceled", "sick", "stopped", "void", "error", "critical"), "bad"),
}
#: Characters of a run's output that a page shows.
STDOUT_SHOWN = 200_000


def tone(state: object) -> str:
    """A word for a style."""
    return TONES.get(str(state).lower(), "plain")


def clock(moment: datetime | None) -> Markup:
    """A time as the store has it, to the second, in UTC; a machine reads the rest."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}")


def ago(moment: datetime | None) -> Markup:
    """How long ago, with the time behind it."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{} ago</time>').format(
        utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}", took((datetime.now(UTC) - utc).total_seconds())
    )


def took(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return ""
    for limit, part, word in ((9.95, 1.0, "s"), (120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds / part:.1f} {word}" if limit < 10 else f"{seconds / part:.0f} {word}"
    return f"{seconds / 86_400:.0f} d"


def between(start: datetime | None, end: datetime | None) -> str:
    """How long it took; '' where it is not over."""
    return took((end - start).total_seconds()) if start and end else ""


def ansi(text: str) -> Markup:
    """A terminal's output as text in its colours; whatever else it orders a terminal to do is left out."""
    console = Console(color_system="standard", width=10_000, legacy_windows=False)
    lines = text[-STDOUT_SHOWN:].splitlines()
    return Markup("\n").join(_line(line, console) for line in lines)


def _line(line: str, console: Console) -> Markup:
    # Most lines have no colour, and rich takes long to find that out.
    plain = line.isprintable() and line.isascii()
    return escape(line) if plain else _coloured(Text.from_ansi(line), console)


def _coloured(line: Text, console: Console) -> Markup:
    pieces = []
    for segment in line.render(console):
        if segment.control:
            continue
        style = segment.style
        names = []
        if style is not None and style.color is not None and style.color.number is not None:
            names.append(f"ansi{style.color.number % 16}")
        if style is not None and style.bold:
            names.append("bold")
        shown = escape(printable(segment.text.removesuffix("\n"), keep="\t"))
        pieces.append(Markup('<span class="{}">{}</span>').format(" ".join(names), shown) if names else shown)
    return Markup("").join(pieces)


def said(value: object) -> str:
    """What a host or a person wrote: nothing in it is markup, and control characters are shown."""
    return printable(str(value), keep="\n\t")


def diff(text: str) -> Markup:
    """The output of `--check --diff` with what goes and what comes in colour."""
    kinds = {"+": "plus", "-": "minus", "@": "place"}
    lines = [
        Markup('<span class="{}">{}</span>\n').format(kinds.get(line[:1], "same"), said(line))
        for line in text.splitlines()
    ]
    return Markup("").join(lines)


def whose(name: str) -> str:
    """The page of the incident, or of the outbreak, that a run or a line of the ledger belongs to."""
    return f"/{'outbreaks' if is_outbreak(name) else 'incidents'}/{quote(name, safe='')}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    clock=clock,
    ago=ago,
    took=took,
    between=between,
    ansi=ansi,
    said=said,
    diff=diff,
    tone=tone,
    whose=whose,
    tone_of=tone_of,
)


def page(
    request: Request,
    name: str,
    /,
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    **shown: Any,
) -> HTMLResponse:
    """A page of templates/, in the frame; or one part of it, which a page loads anew while it is looked at."""
    identity = who(request)
    frame = {
        "menu": MENU,
        "path": request.url.path,
        "identity": identity,
        "signed_in": bool(identity.csrf),
        "may": {role.value: bool(identity.csrf) and identity.role.may(role) for role in Role},
        "csrf": identity.csrf,
        "now": datetime.now(UTC),
    }
    text = _ENVIRONMENT.get_template(name).render(frame | shown)
    return HTMLResponse(text, status_code=status, headers=headers)


def part(name: str, /, **shown: Any) -> Markup:
    """What a template of templates/parts says to whoever looks at it."""
    return Markup(_ENVIRONMENT.get_template(name).render(shown))  # noqa: S704  # templates escape what they are given


def error_page(request: Request, status: int, code: str, message: str) -> HTMLResponse:
    """What went wrong, as a page."""
    return page(request, "error.html", status=status, number=status, code=code, message=message, stopped=None)


def gone(what: str) -> ApiError:
    """Nothing of that kind has the id that was asked for."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what}; it may have been pruned.")


async def form(request: Request) -> dict[str, str]:
    """A form's fields, the first value of each."""
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}


def span(days: int) -> datetime:
    """So many days back."""
    return datetime.now(UTC) - timedelta(days=days)


def states(group: str) -> tuple[IncidentState, ...]:
    """Of a word of the filter on incidents."""
    groups = {
        "open": sorted(UNDER_WAY),
        "waiting": (IncidentState.PENDING_APPROVAL, IncidentState.ESCALATED),
        "healed": (IncidentState.HEALED, IncidentState.ALREADY_WELL),
        "quiet": (IncidentState.NOISE, IncidentState.JOINED, IncidentState.EXPIRED),
    }
    return tuple(groups.get(group, ()))
