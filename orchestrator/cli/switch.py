"""`healer stop` and `healer start`: the kill switch."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import output

Reason = Annotated[str, typer.Option(help="Why; recorded with your name. Required.")]


def stop(
    context: typer.Context,
    reason: Reason,
    let_finish: Annotated[bool, typer.Option("--let-finish", help="Spare the playbooks that run now.")] = False,
) -> None:
    """The kill switch: ends what runs, and nothing acts from now on, on any host, until `healer start`.

    Collecting goes on. A host whose playbook was ended is looked at before anything touches it again.
    """
    settings = wiring.settings(context.obj)
    wiring.open_record(settings).stop(actor=wiring.actor(), reason=reason)
    canceled = [] if let_finish else wiring.cancel_runs(settings)
    output.say(
        "Stopped: nothing acts until `healer start`." + (f" Canceled: {', '.join(canceled)}." if canceled else "")
    )


def start(context: typer.Context, reason: Reason) -> None:
    """Lift the kill switch. What was refused meanwhile stays escalated."""
    wiring.open_record(wiring.settings(context.obj)).resume(actor=wiring.actor(), reason=reason)
    output.say("Healing is allowed again.")
