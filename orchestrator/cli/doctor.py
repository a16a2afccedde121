"""`healer doctor`: what works and how to fix what does not, one line each."""

from __future__ import annotations

import typer

from orchestrator import app as wiring
from orchestrator.cli import output


def doctor(context: typer.Context, as_json: output.Json = False) -> None:
    """Each host (SSH, key, sudo, Python, journal, files, clock), the chooser, store, playbooks. Touches nothing."""
    checks = wiring.examine(wiring.settings(context.obj))
    bad = False
    listed = []
    for check in checks:
        bad = bad or check.ok is False
        if as_json:
            listed.append(check)
            continue
        mark = {True: "ok", False: "BAD", None: "?"}[check.ok]
        output.say(
            f"{mark:<4}{check.name}: {check.text}" + (f"  Fix: {check.fix}" if check.fix and not check.ok else "")
        )
    if as_json:
        output.print_json(listed)
    raise typer.Exit(1 if bad else 0)
