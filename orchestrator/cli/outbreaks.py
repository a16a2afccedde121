"""`healer outbreaks`: the same error on several hosts, decided once and healed in waves."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import lookup, output
from orchestrator.domain.outbreaks import Member, Outbreak
from orchestrator.domain.verdicts import Answer
from orchestrator.outbreak_answer import questions

Reason = Annotated[str, typer.Option(help="Why; recorded with your name. Required.")]

app = typer.Typer(
    help="The same error on several hosts, decided once and healed in waves: list, show, approve, deny.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def stands(member: Member) -> str:
    """Where a member stands, in words."""
    if member.waits:
        return "waits for a wave"
    return "goes on" if member.ending is None else str(member.ending)


def _deed(outbreak: Outbreak) -> str:
    return output.deed(outbreak.action, outbreak.parameters) or "-"


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: output.Json = False,
) -> None:
    """Newest first."""
    store = wiring.open_record(wiring.settings(context.obj))
    found = store.outbreaks(limit=limit)
    if as_json:
        return output.print_json(found)
    output.table(
        ("outbreak", "state", "wave", "hosts", "what", "action", "opened", "why"),
        (
            (
                one.id,
                output.state(one.state),
                str(one.wave),
                str(len(store.members(one.id))),
                output.text(one.template, 60),
                output.text(_deed(one)),
                output.when(one.opened_at),
                output.text(one.reason, 80),
            )
            for one in found
        ),
        "No outbreaks. The same error on several hosts within a short time makes one.",
    )


@app.command()
def show(context: typer.Context, outbreak_id: str, as_json: output.Json = False) -> None:
    """One outbreak: its waves, how each host left it, its runs, and every step in order."""
    store = wiring.open_record(wiring.settings(context.obj))
    outbreak = lookup.outbreak(store, outbreak_id)
    members, runs = store.members(outbreak.id), store.runs(incident_id=outbreak.id)
    events, waiting = store.events(incident_id=outbreak.id), questions(store, outbreak)
    if as_json:
        return output.print_json(
            {"outbreak": outbreak, "members": members, "questions": waiting, "runs": runs, "events": events}
        )
    output.say(f"{outbreak.id}  {output.text(outbreak.template, 100)}  {outbreak.state}")
    output.say(f"  {_deed(outbreak)}; opened {output.when(outbreak.opened_at)}; {outbreak.reason}".rstrip("; "))
    for one in sorted(members, key=lambda member: (member.wave or len(members) + 1, member.incident_id)):
        where = f"wave {one.wave}" if one.wave else "no wave"
        output.say(f"  {where:<8} {one.host}  {one.incident_id}  {stands(one)}  {one.reason}".rstrip())
    for asked in waiting:
        output.say(f"  asked    {asked.host}  {asked.id}  waits for an answer until {output.when(asked.expires_at)}")
    for run in reversed(runs):
        output.say(f"  run {run.id}: {run.status} on {', '.join(run.hosts)} {run.reason}".rstrip())
    for event in events:
        output.say(f"  {output.when(event.at)} {event.kind} ({event.actor}): {event.text}")


@app.command()
def approve(context: typer.Context, outbreak_id: str, reason: Reason) -> None:
    """Approve what is asked about it: one host first, and once it verified, all the others with a second answer."""
    _answer(context, outbreak_id, Answer.APPROVED, reason)


@app.command()
def deny(context: typer.Context, outbreak_id: str, reason: Reason) -> None:
    """Refuse all that is asked about it: the incidents are escalated and nothing runs there."""
    _answer(context, outbreak_id, Answer.DENIED, reason)


def _answer(context: typer.Context, given: str, answer: Answer, reason: str) -> None:
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    wiring.require_reason(reason)
    from orchestrator import desk  # paramiko: no other of these commands pays for it

    told = desk.answer_all(settings, store, lookup.outbreak(store, given).id, answer, wiring.actor(), reason)
    for one in told:
        output.say(f"{one.approval.host}  {one.approval.id}  {answer if one.taken else one.sentence}")
    if not any(one.taken for one in told):
        raise typer.Exit(1)
