"""`healer memory`: what healed before is chosen again; what people say of that."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator import precedents
from orchestrator.cli import lookup, output
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Standing
from orchestrator.errors import ConfigError
from orchestrator.ports import Store
from orchestrator.precedents import Otherwise, Remembered

app = typer.Typer(
    help="What healed before is chosen again without asking: list, show, pin, forbid, release.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Error = Annotated[str, typer.Argument(help="A signature, or an incident: the line that it began with.")]
Reason = Annotated[str, typer.Option(help="Why; recorded with your name. Required.")]


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Errors to show.")] = 50,
    as_json: output.Json = False,
) -> None:
    """What memory has learned of each error, the latest first."""
    settings = wiring.settings(context.obj)
    _print(precedents.overview(wiring.open_record(settings), settings.memory_healed_times, limit), as_json=as_json)


@app.command()
def show(context: typer.Context, error: Error, as_json: output.Json = False) -> None:
    """One error: each healing that memory counts, and a person's word."""
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    known = store.precedents(_signature(store, error))
    rows = precedents.details(store, known, settings.memory_healed_times)
    others = precedents.otherwise(store, known, settings.memory_healed_times)
    if as_json:
        return output.print_json(
            {
                "signature": known.signature,
                "remembered": rows,
                "deeds": known.deeds,
                "otherwise": [one.signature for one in others],
            }
        )
    words = next((row.template for row in rows), "") or store.wording(known.signature) or ""
    output.say(f"{known.signature}  {words}")
    if known.word:
        word = known.word
        about = output.deed(word.action or "any action", word.parameters)
        output.say(f"  {word.standing} by {word.actor} at {output.when(word.at)}: {about}; {word.reason}")
    _say_otherwise(others, "  ")
    for row in rows:
        output.say(f"  {row.standing}: {_deed(row)}, {_count(row)}")
    for deed in known.deeds:
        done = output.deed(deed.action, deed.parameters)
        end = "healed" if deed.healed else "did not heal"
        output.say(f"  {output.when(deed.at)} {deed.host} {done}: {end}, chosen by {deed.chooser} ({deed.incident_id})")
    if not known.deeds:
        output.say("  Nothing was done about it that memory counts.")


@app.command()
def pin(
    context: typer.Context,
    error: Error,
    reason: Reason,
    action: Annotated[str, typer.Option(help="What is chosen; without it, what memory learned.")] = "",
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as the action takes it.")] = None,
) -> None:
    """Choose this at once for the error, however often it healed, and instead of what it learned.

    Pin again to change it. Policy judges as usual.
    """
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    wiring.require_reason(reason)
    word = precedents.pin(
        store,
        wiring.whitelist(settings),
        _signature(store, error),
        action=action,
        given=_pairs(parameter or ()),
        actor=wiring.actor(),
        reason=reason,
        now=datetime.now(UTC),
    )
    about = output.deed(word.action, word.parameters)
    output.say(f"{about} is pinned for {word.signature}: it is chosen where the evidence offers it.")
    _say_otherwise(precedents.otherwise(store, store.precedents(word.signature), settings.memory_healed_times))


@app.command()
def forbid(
    context: typer.Context,
    error: Error,
    reason: Reason,
    action: Annotated[str, typer.Option(help="What is never chosen; without it, nothing is.")] = "",
) -> None:
    """Never choose this for the error, whoever decides: a person is told instead."""
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    wiring.require_reason(reason)
    word = precedents.forbid(
        store,
        wiring.whitelist(settings) if action else (),
        _signature(store, error),
        action=action,
        actor=wiring.actor(),
        reason=reason,
        now=datetime.now(UTC),
    )
    output.say(f"{word.action or 'Every action'} is forbidden for {word.signature}: a person is told instead.")


@app.command()
def release(context: typer.Context, error: Error, reason: Reason) -> None:
    """Take a pin or a ban back: what healings taught counts again."""
    store = wiring.open_record(wiring.settings(context.obj))
    wiring.require_reason(reason)
    former = precedents.release(store, _signature(store, error), actor=wiring.actor(), reason=reason)
    output.say(f"{former.action or 'Every action'} is no longer {former.standing} for {former.signature}.")


def _say_otherwise(others: Iterable[Otherwise], indent: str = "") -> None:
    for one in others:
        about = output.deed(one.action, one.parameters)
        output.say(
            f"{indent}{one.signature} speaks for {about}: where both lines are in sight the chooser is asked. Pin it "
            "too where this is to hold then."
        )


def _pairs(given: Iterable[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise ConfigError(f"--parameter takes NAME=VALUE, got {pair!r}.")
        if name in values:
            raise ConfigError(f"--parameter {name} is given twice. Give it once.")
        values[name] = value
    return values


def _signature(store: Store, given: str) -> Signature:
    if given.startswith("inc-"):
        return lookup.incident(store, given).signature
    return precedents.find(store, given)


def _print(rows: Iterable[Remembered], *, as_json: bool) -> None:
    if as_json:
        return output.print_json(rows)
    output.table(
        ("signature", "words", "standing", "what", "healed", "last", "last from memory"),
        (
            (
                row.signature,
                output.text(row.template, 70),
                row.standing,
                output.text(_deed(row)),
                _count(row),
                output.when(row.last),
                output.when(row.last_chosen) or "never",
            )
            for row in rows
        ),
        "Memory knows nothing yet: nothing was healed, and nobody has pinned or forbidden anything.",
    )


def _deed(row: Remembered) -> str:
    return output.deed(row.action or "any action", row.parameters)


def _count(row: Remembered) -> str:
    if row.standing == Standing.FORBIDDEN or not row.done:
        return "" if not row.done else f"done {row.done} times"
    return f"{row.healed} in a row, done {row.done} times"
