"""`healer approvals`: questions to a person, each bound to the bytes that would run."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import lookup, output
from orchestrator.domain.verdicts import Answer, Approval

app = typer.Typer(help="Questions to a person: list, show, approve, deny.", no_args_is_help=True, rich_markup_mode=None)

#: Newest lines of the evidence, and letters of each, that are shown to whoever is asked.
EVIDENCE_SHOWN, LINE_SHOWN = 10, 300

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
def show(context: typer.Context, approval_id: str, as_json: output.Json = False) -> None:
    """One question: what is sick, what was decided and why, and what would change on the host."""
    store = wiring.open_record(wiring.settings(context.obj))
    found = lookup.approval(store, approval_id)
    decision, evidence = store.decision(found.incident_id), store.evidence(found.incident_id, EVIDENCE_SHOWN)
    if as_json:
        return output.print_json({"approval": found, "decision": decision, "evidence": evidence})
    output.say(f"{found.id}  {found.action} {output.parameters(found.parameters)} on {found.host}  {found.answer}")
    output.say(f"  incident  {found.incident_id}")
    output.say(f"  why       {found.reason}" + (f" (chosen by {decision.chooser})" if decision else ""))
    output.say(f"  rule      {found.rule}: needs a person's approval")
    output.say(f"  asked     {output.when(found.asked_at)}, by {found.asked_by or 'nobody: log lines opened it'}")
    if found.four_eyes:
        output.say("  four eyes whoever asked may not approve it")
    output.say(f"  expires   {output.when(found.expires_at)}")
    if found.answered_by:
        output.say(f"  answer    {found.answer} by {found.answered_by}, {output.when(found.answered_at)}")
        output.say(f"            {found.answer_reason}")
    if found.void_reason:
        output.say(f"  void      {found.void_reason}")
    output.say(f"  digest    {found.digest}")
    output.say("  evidence")
    for record in evidence:
        output.say(f"    {output.when(record.time)} {record.unit}: {_line(record.message)}")
    output.say("  what would change (ansible-playbook --check --diff)")
    for line in found.changes.splitlines() or ["not recorded"]:
        output.say(f"    {line}")


def _line(message: str) -> str:
    """A log line on one line, and not longer than one reads."""
    said = " ".join(message.split())
    return said if len(said) <= LINE_SHOWN else f"{said[:LINE_SHOWN]}..."


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
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    wiring.require_reason(reason)
    from orchestrator import desk  # paramiko: no other of these commands pays for it

    return desk.answer(settings, store, lookup.approval(store, given).id, answer, wiring.actor(), reason)
