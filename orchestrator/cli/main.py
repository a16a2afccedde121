"""`healer`: mounts the commands, and turns every error into a sentence and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import (
    actions,
    approvals,
    backtest,
    doctor,
    explain,
    heal,
    incidents,
    init,
    lab,
    memory,
    notify,
    outbreaks,
    output,
    policy,
    runs,
    serve,
    switch,
    tokens,
    trust,
)
from orchestrator.errors import HealingError

app = typer.Typer(
    name="healer",
    help="Heals fleets of Linux hosts: collect, detect, decide, guard, act, verify, record.\n\n"
    "Start with `healer init`, then `healer doctor`, then `healer serve`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Config file. Default: $HEALER_CONFIG, else ./healer.toml."),
    ] = None,
) -> None:
    """Heals fleets of Linux hosts: collect, detect, decide, guard, act, verify, record.

    Start with `healer init`, then `healer doctor`, then `healer serve`.
    """
    context.obj = config


app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.command("trust")(trust.trust)
app.command("serve")(serve.serve)
app.command("heal")(heal.heal)
app.add_typer(incidents.app, name="incidents")
app.add_typer(outbreaks.app, name="outbreaks")
app.add_typer(runs.app, name="runs")
app.add_typer(approvals.app, name="approvals")
app.add_typer(memory.app, name="memory")
app.add_typer(policy.app, name="policy")
app.command("actions")(actions.actions)
app.command("backtest")(backtest.backtest)
app.command("explain")(explain.explain)
app.add_typer(notify.app, name="notify")
app.add_typer(tokens.app, name="tokens")
app.command("stop")(switch.stop)
app.command("start")(switch.start)
app.add_typer(lab.app, name="lab")


def main() -> None:
    """The entry point. Exit codes: 0 done, 1 refused or not well, 2 wrong usage, 75 try later, 78 set it right."""
    try:
        app()
    except HealingError as error:
        output.complain(str(error), error.safe)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
