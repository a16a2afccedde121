"""`healer notify`: where people are told, and whether that works."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator import telling
from orchestrator.cli import output

app = typer.Typer(
    help="Where people are told (Slack, PagerDuty, Teams, mail ...): list the channels, and test them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(context: typer.Context, as_json: output.Json = False) -> None:
    """The channels, what each is told, and how the last message went. Never a URL."""
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings) if settings.notify else None
    shown = []
    for channel in settings.notify:
        told = store.told(channel.name) if store else None
        shown.append(
            {
                "name": channel.name,
                "service": channel.service or f"${channel.url_env} is not set",
                "events": sorted(channel.events),
                "severity": channel.severity.name,
                "groups": sorted(channel.groups),
                "messages": told.messages if told else 0,
                "failures": told.failures if told else 0,
                "problem": told.problem if told else "",
                "at": told.at if told else None,
            }
        )
    if as_json:
        return output.print_json(shown)
    output.table(
        ("channel", "service", "events", "from", "groups", "messages", "failed", "last", "problem"),
        (
            (
                str(row["name"]),
                output.text(row["service"]),
                ", ".join(sorted(channel.events)),
                channel.severity.name,
                output.text(", ".join(sorted(channel.groups)) or "all"),
                str(row["messages"]),
                str(row["failures"]),
                output.when(row["at"]) or "never",  # type: ignore[arg-type]  # a moment or None
                output.text(row["problem"]),
            )
            for channel, row in zip(settings.notify, shown, strict=True)
        ),
        "No channels: the log of healer serve alone. docs/notifications.md shows how to add one.",
    )


@app.command("test")
def try_out(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A channel; without it, all of them.")] = "",
) -> None:
    """Send a test message now and say how it went; 1 where one did not arrive."""
    settings = wiring.settings(context.obj)
    bad = False
    for channel, outcome in telling.try_out(settings, telling.chosen(settings, name), wiring.actor()):
        bad = bad or not outcome.ok
        said = "it took the message" if outcome.ok else outcome.problem
        output.say(f"{'ok' if outcome.ok else 'BAD':<5}{channel.name}: {said}")
    raise typer.Exit(1 if bad else 0)
