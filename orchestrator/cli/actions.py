"""`healer actions`: the whitelist."""

from __future__ import annotations

import typer

from orchestrator import app as wiring
from orchestrator.cli import output


def actions(context: typer.Context, as_json: output.Json = False) -> None:
    """The whitelist: everything that healing-bot can ever do to a host."""
    found = wiring.whitelist(wiring.settings(context.obj))
    if as_json:
        return output.print_json(found)
    output.table(
        ("action", "parameters", "risk", "undo", "then", "what", "when"),
        (
            (
                action.id,
                ", ".join(f"{parameter.name} ({parameter.source})" for parameter in action.parameters),
                action.risk,
                "yes" if action.reversible else "no",
                action.follow_up.action if action.follow_up else "",
                output.text(action.title),
                output.text(action.when),
            )
            for action in found
        ),
        "The whitelist is empty: nothing can act.",
    )
