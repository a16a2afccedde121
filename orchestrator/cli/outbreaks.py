"""`healer outbreaks`: the same error on several hosts, decided once and healed in waves."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import lookup, output
from orchestrator.domain.outbreaks import Member, Outbreak

app = typer.Typer(
    help="The same error on several hosts, decided once and healed in waves: list, show.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def stands(member: Member) -> str:
    """Where a member stands, in words."""
    if member.waits:
        return "waits for a wave"
    return "goes on" if member.ending is None else str(member.ending)


def _deed(outbreak: Outbreak) -> str:
    return f"{outbreak.action} {output.parameters(outbreak.parameters)}".strip() or "-"


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
    events = store.events(incident_id=outbreak.id)
    if as_json:
        return output.print_json({"outbreak": outbreak, "members": members, "runs": runs, "events": events})
    output.say(f"{outbreak.id}  {output.text(outbreak.template, 100)}  {outbreak.state}")
    output.say(f"  {_deed(outbreak)}; opened {output.when(outbreak.opened_at)}; {outbreak.reason}".rstrip("; "))
    for one in sorted(members, key=lambda member: (member.wave or len(members) + 1, member.incident_id)):
        where = f"wave {one.wave}" if one.wave else "no wave"
        output.say(f"  {where:<8} {one.host}  {one.incident_id}  {stands(one)}  {one.reason}".rstrip())
    for run in reversed(runs):
        output.say(f"  run {run.id}: {run.status} on {', '.join(run.hosts)} {run.reason}".rstrip())
    for event in events:
        output.say(f"  {output.when(event.at)} {event.kind} ({event.actor}): {event.text}")
