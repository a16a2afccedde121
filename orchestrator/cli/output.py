"""How the command line speaks: tables for people, JSON for programs, complaints on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.domain.plain import plain
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
    "void": "red",
}


#: Columns of a table that nobody looks at on a screen: what reads it must not lose a character.
PIPE_WIDTH = 1000


def print_json(value: Any, *, line: bool = False) -> None:
    """One JSON document on stdout; `line`: on one line, for what goes on without end."""
    text = json.dumps(plain(value), indent=None if line else 2, ensure_ascii=False)
    sys.stdout.write("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))
    sys.stdout.write("\n")
    if line:
        sys.stdout.flush()


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
    """A table whose cells may carry markup: escape what hosts wrote with `text`. `empty` where there is no row.

    The first column is the id that one types next: it is never cut. The others are folded where room is short.
    """
    listed = list(rows)
    if not listed:
        say(empty)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    longest = max(Text.from_markup(row[0]).cell_len for row in listed)
    for number, name in enumerate(columns):
        grid.add_column(name, overflow="fold", min_width=None if number else longest, no_wrap=not number)
    for row in listed:
        grid.add_row(*map(_shown, row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(soft_wrap=False, highlight=False, width=width).print(grid)


def text(value: object, width: int = 0) -> str:
    """What a host or a person wrote: never markup, control characters shown, cut to `width`."""
    shown = printable(str(value))
    if width and len(shown) > width:
        shown = shown[: width - 1] + "…"
    return escape(shown)


def parameters(values: Mapping[str, object]) -> str:
    """`service=nginx path=/opt/x`."""
    return text(" ".join(f"{name}={value}" for name, value in values.items()))


def deed(action: str, values: Mapping[str, object]) -> str:
    """`restart_service service=nginx`."""
    return f"{action} {parameters(values)}".strip()
