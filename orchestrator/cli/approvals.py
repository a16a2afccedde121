"""`healer approvals`: questions to a person, each bound to the bytes that would run."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import lookup, output
from orchestrator.domain.verdicts import Answer, Approval

app = typer.Typer(help="Questions to a person: list, approve, deny.", no_args_is_help=True, rich_markup_mode=None)

Reason = Annotated[str, typer.Option(help="Why; recorded with your name. Required.")]


@app.command("list")
def list_(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: output.Json = False,
) -> None:
    """Open questions, newest first."""
    store = wiring.open_record(wiring.settings(context.obj))
    found = store.approvals(() if everything else (Answer.PENDING,))
    if as_json:
        return output.print_json(found)
    output.table(
        ("approval", "host", "action", "why", "asked", "expires", "answer", "digest"),
        (
            (
                approval.id,
                output.text(approval.host),
                f"{approval.action} {output.parameters(approval.parameters)}",
                output.text(approval.reason, 70),
                output.when(approval.asked_at),
                output.when(approval.expires_at),
                output.state(approval.answer),
                approval.digest[:12],
            )
            for approval in found
        ),
        "No open questions.",
    )


@app.command()
def approve(context: typer.Context, approval_id: str, reason: Reason) -> None:
    """Let exactly these bytes run: it starts within a second while `healer serve` is up."""
    done = _answer(context, approval_id, Answer.APPROVED, reason)
    output.say(f"{done.id} is approved. Follow it: healer runs follow {done.incident_id}")


@app.command()
def deny(context: typer.Context, approval_id: str, reason: Reason) -> None:
    """Refuse: the incident is escalated and nothing runs."""
    done = _answer(context, approval_id, Answer.DENIED, reason)
    output.say(f"{done.id} is denied; nothing runs.")


def _answer(context: typer.Context, given: str, answer: Answer, reason: str) -> Approval:
    store = wiring.open_record(wiring.settings(context.obj))
    wiring.require_reason(reason)
    return wiring.answer(store, lookup.approval(store, given), answer, wiring.actor(), reason)
