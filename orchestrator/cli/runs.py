"""`healer runs`: playbook runs and their artifacts."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import lookup, output
from orchestrator.domain.incidents import FINAL
from orchestrator.ports import Event
from orchestrator.record import artifacts

app = typer.Typer(help="Playbook runs: list, show, follow.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Only this host.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: output.Json = False,
) -> None:
    """Newest first."""
    store = wiring.open_record(wiring.settings(context.obj))
    found = store.runs(host=host, limit=limit)
    if as_json:
        return output.print_json(found)
    output.table(
        ("run", "kind", "action", "hosts", "status", "started", "seconds", "why"),
        (
            (
                run.id,
                run.kind,
                f"{run.action} {output.parameters(run.parameters)}",
                output.text(",".join(run.hosts)),
                output.state(run.status),
                output.when(run.started),
                f"{(run.ended - run.started).total_seconds():.1f}" if run.ended else "",
                output.text(run.reason, 70),
            )
            for run in found
        ),
        "No runs yet.",
    )


@app.command()
def show(
    context: typer.Context,
    run_id: str,
    stdout: Annotated[bool, typer.Option("--stdout", help="Ansible's own output, whole.")] = False,
    as_json: output.Json = False,
) -> None:
    """One run: its tasks, how each ended, and where the artifacts lie."""
    settings = wiring.settings(context.obj)
    run = lookup.run(wiring.open_record(settings), run_id)
    folder = settings.artifacts_dir / run.id
    if stdout:
        return output.say(artifacts.stdout(folder))
    tasks, files = artifacts.tasks(folder), artifacts.files(folder)
    if as_json:
        where = str(artifacts.place(folder))
        return output.print_json({"run": run, "tasks": tasks, "artifacts": where, "files": files})
    output.say(f"{run.id}  {run.kind}  {run.action} {output.parameters(run.parameters)}  {run.status}")
    output.say(f"  hosts {', '.join(run.hosts)}; rc {run.rc}; {run.reason}".rstrip("; "))
    for host, end in run.ends.items():
        output.say(f"  {host}: {end.status} {end.reason}".rstrip())
    for task in tasks:
        output.say(f"  {task.outcome:<11} {task.seconds:5.1f} s  {task.host}: {task.name}")
    if run.artifacts_removed:
        output.say(f"  artifacts: removed by retention, {output.when(run.artifacts_removed)}")
    else:
        output.say(f"  artifacts: {artifacts.place(folder)} ({len(files)} files)")


@app.command()
def follow(
    context: typer.Context,
    incident_id: Annotated[str | None, typer.Argument(help="Only this incident; ends when it ends.")] = None,
    history: Annotated[bool, typer.Option("--history", help="From the first event, not from now.")] = False,
    as_json: output.Json = False,
) -> None:
    """Every step as it happens, one line each; Ctrl-C ends it."""
    store = wiring.open_record(wiring.settings(context.obj))
    if incident_id:
        incident_id = lookup.incident(store, incident_id).id
    after = 0 if history or incident_id else store.newest()
    while True:
        # Before the events: what ended it is then among them.
        incident = store.incident(incident_id) if incident_id else None
        events = store.events(after=after, incident_id=incident_id)
        for event in events:
            after = event.seq
            output.print_json(event, line=True) if as_json else output.say(line(event))
        if not events and incident and incident.state in FINAL:
            return
        if not events:
            time.sleep(0.2)


def line(event: Event) -> str:
    """One event as one line."""
    return f"{output.when(event.at)} {event.host:<8} {event.kind:<20} {event.incident_id} {event.text}"
