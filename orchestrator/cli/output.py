"""How the command line speaks: tables for people, JSON for programs, complaints on stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.domain.speech import printable

#: The option that everything that lists has.
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

STATE_STYLES = {
    "healed": "green",
    "already_well": "green",
    "succeeded": "green",
    "approved": "green",
    "verified": "cyan",
    "healing": "cyan",
    "planning": "cyan",
    "open": "cyan",
    "running": "cyan",
    "pending_approval": "yellow",
    "pending": "yellow",
    "escalated": "red",
    "failed": "red",
    "unknown": "red",
    "timed_out": "red",
    "refused": "red",
    "denied": "red",
}


def plain(value: Any) -> Any:
    """Domain objects as JSON values: dataclasses by field, times as ISO 8601, enums and paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    sys.stdout.write("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Lines for a person: no markup, and nothing that a terminal obeys."""
    Console(soft_wrap=True, highlight=False).print(_shown(text), markup=False)


def complain(sentence: str, safe: str = "") -> None:
    """What happened and what is safe, on stderr."""
    said = _shown(f"healer: {sentence} {safe}".rstrip())
    Console(stderr=True, soft_wrap=True, highlight=False).print(said, markup=False)


def _shown(text: str) -> str:
    """What may go to a terminal: a host may have written any of it."""
    return printable(text.replace("\r\n", "\n"), keep="\n\t")


def state(name: str) -> str:
    """A state in its colour."""
    style = STATE_STYLES.get(name)
    return f"[{style}]{escape(name)}[/{style}]" if style else escape(name)


def when(moment: datetime | None) -> str:
    """Local time of day, with the date where it is not today's."""
    if moment is None:
        return ""
    local = moment.astimezone()
    today = datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A table whose cells may carry markup: escape what hosts wrote with `text`. `empty` where there is no row."""
    listed = list(rows)
    if not listed:
        say(empty)
        return
    grid = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in listed:
        grid.add_row(*map(_shown, row))
    Console(soft_wrap=False, highlight=False).print(grid)


def text(value: object, width: int = 0) -> str:
    """What a host or a person wrote: never markup, control characters shown, cut to `width`."""
    shown = printable(str(value))
    if width and len(shown) > width:
        shown = shown[: width - 1] + "…"
    return escape(shown)


def parameters(values: Mapping[str, object]) -> str:
    """`service=nginx path=/opt/x`."""
    return text(" ".join(f"{name}={value}" for name, value in values.items()))
