"""`healer doctor`: what works and how to fix what does not, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import output
from orchestrator.ports import Check
from orchestrator.settings import Settings


def doctor(
    context: typer.Context,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Look at this machine alone, and clear what a crash left and is provably dead."),
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Each host (SSH, key, sudo, Python, journal, files, clock), the chooser, store, playbooks, what crashes left.

    Touches nothing without --fix.
    """
    settings = wiring.settings(context.obj)
    bad = False
    listed = []
    for check in _checks(settings, fix=fix):
        bad = bad or check.ok is False
        if as_json:
            listed.append(check)
        else:
            output.say(_line(check))
    if as_json:
        output.print_json(listed)
    raise typer.Exit(1 if bad else 0)


def _checks(settings: Settings, *, fix: bool) -> Iterator[Check]:
    from orchestrator.doctor import left_over  # it stands on paramiko and SQLAlchemy, as no other command's help does

    if not fix:
        yield from wiring.examine(settings)
    yield from left_over(settings, fix=fix)


def _line(check: Check) -> str:
    mark = "done" if check.fixed and check.ok else {True: "ok", False: "BAD", None: "?"}[check.ok]
    done = f"  Done: {check.fixed}" if check.fixed else ""
    fix = f"  Fix: {check.fix}" if check.fix and not check.ok else ""
    return f"{mark:<5}{check.name}: {check.text}{done}{fix}"
