"""`healer explain`: what would be decided of log lines, and why; acts on nothing."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import output


def explain(
    context: typer.Context,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help='Read {"unit","message","priority","host"?} objects, answer one JSON a line.'),
    ] = False,
) -> None:
    """Log lines on stdin -> signature, decision, verdict and why; acts on nothing.

    Without --jsonl each line is plain text. Exactly one answer a line, in order.
    """
    parts = wiring.explainer(wiring.settings(context.obj))
    stream = sys.stdin.buffer
    lines = (raw.decode("utf-8", errors="surrogateescape").rstrip("\n") for raw in stream)
    if not jsonl:
        lines = (json.dumps({"unit": "", "message": line}) for line in lines)
    for answer in parts(lines, datetime.now(UTC)):
        if jsonl:
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
            continue
        decision, verdict = answer["decision"], answer["verdict"]
        output.say(
            f"{answer['signature']} {'incident' if answer['incident'] else 'no incident'}: "
            f"{decision['action']} {output.parameters(decision['params'])} ({decision['reason']}); "
            f"{verdict['outcome']} by {verdict['rule']}: {verdict['reason']}"
        )
