"""`healer policy`: what holds for a host and where it was set, policy tried on cases, breakers told to count anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator import catalog, policies
from orchestrator.cli import output
from orchestrator.errors import ConfigError
from orchestrator.policies import CaseResult

app = typer.Typer(
    help="What may be done, and why: show, test, reset-breaker.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="A host of the inventory.")],
    as_json: output.Json = False,
) -> None:
    """Every policy value that holds for a host, the file and line that set it, and what stops all healing now."""
    settings = wiring.settings(context.obj)
    actions = [one.id for one in wiring.whitelist(settings)]
    known = wiring.fleet(settings, actions)
    values = policies.values_of(known.host(host), settings)
    if (store := wiring.record_if_any(settings)) is not None:
        values += policies.values_of_now(store, known.hosts(), settings, actions, datetime.now(UTC))
    if as_json:
        return output.print_json({one.name: {"value": one.value, "where": one.where} for one in values})
    output.table(
        ("name", "value", "where"),
        ((one.name, output.text(_shown(one.value)), output.text(one.where)) for one in values),
        "There is no policy.",
    )


@app.command("test")
def try_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A YAML list of cases, or JSON lines (.jsonl).")],
    as_json: output.Json = False,
) -> None:
    """Try policy on cases: the real inventory and settings, nothing done before. Exit code 1 where one fails."""
    settings = wiring.settings(context.obj)
    actions = catalog.load(settings.playbooks_dir, settings.roles_dir)
    fleet = wiring.fleet(settings, actions.actions)
    cases = policies.read_cases(file, fleet=fleet, catalog=actions, now=datetime.now(UTC))
    results = policies.try_cases(cases, fleet=fleet, catalog=actions, settings=settings)
    failed = [one for one in results if not one.passed]
    if as_json:
        output.print_json([_plain(one) for one in results])
    else:
        for one in results:
            output.say(f"{'pass' if one.passed else 'FAIL'}  {one.case.name} ({one.case.place})")
            if not one.passed:
                wanted = " by rule ".join(str(part) for part in (one.case.outcome or "any", one.case.rule) if part)
                output.say(
                    f"      wanted {wanted}, got {one.verdict.outcome} by rule {one.verdict.rule}: {one.verdict.reason}"
                )
        output.say(f"{len(results) - len(failed)} of {wiring.counted(len(results), 'case')} passed.")
    if failed:
        raise typer.Exit(1)


@app.command("reset-breaker")
def reset_breaker(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; recorded with your name. Required.")],
    action: Annotated[str, typer.Option(help="Only this action's breaker; without it the fleet's, and all.")] = "",
) -> None:
    """Have a breaker count anew from now on: what failed before is forgotten by it, and by nothing else."""
    settings = wiring.settings(context.obj)
    wiring.require_reason(reason)
    known = [one.id for one in wiring.whitelist(settings)]
    if action and action not in known:
        raise ConfigError(f"There is no action {action!r}. There are: {', '.join(known)}.")
    policies.reset_breaker(wiring.open_record(settings), action, actor=wiring.actor(), reason=reason)
    output.say(f"The breaker of {action or 'the fleet'} counts anew from now on.")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(str(one) for one in value) or "none"
    return "" if value is None else str(value) if not isinstance(value, bool) else json.dumps(value)


def _plain(result: CaseResult) -> dict[str, object]:
    case, verdict = result.case, result.verdict
    return {
        "case": case.name,
        "place": case.place,
        "passed": result.passed,
        "wanted": {"outcome": case.outcome, "rule": case.rule},
        "verdict": {"outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason},
    }
