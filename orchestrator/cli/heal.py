"""`healer heal HOST`: one pass over one host now."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator.cli import output, runs
from orchestrator.domain.incidents import FINAL, Incident, IncidentState

#: Seconds between two looks whether the worker that we wait for is still there.
ALIVE_PERIOD = 2.0


def heal(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="A host of the inventory.")],
    wait: Annotated[float, typer.Option(help="Seconds to follow it at most.", min=1)] = 120.0,
    as_json: output.Json = False,
) -> None:
    """Look at one host now, heal what is found, and follow it. Needs a running `healer serve`."""
    settings = wiring.settings(context.obj)
    store = wiring.open_record(settings)
    after = asked = wiring.look(settings, host)
    deadline, looked = time.monotonic() + wait, time.monotonic()
    opened: set[str] = set()
    done = False
    while time.monotonic() < deadline:
        for event in store.events(after=after):
            after = event.seq
            if event.host != host:
                continue
            if not as_json:
                output.say(runs.line(event))
            if event.kind == "look.ended" and event.data.get("asked") == asked:
                done = True
                opened |= {str(one) for one in event.data.get("incidents", ())}
        found = [incident for one in opened if (incident := store.incident(one))]
        waiting = [one for one in found if one.state not in FINAL and one.state is not IncidentState.PENDING_APPROVAL]
        if done and not waiting:
            return _answer(found, host, as_json=as_json)
        if time.monotonic() - looked > ALIVE_PERIOD:
            wiring.require_worker(settings, store)
            looked = time.monotonic()
        time.sleep(0.2)
    output.complain(f"{host}: not done after {wait:g} s; it goes on without us: healer runs follow")
    raise typer.Exit(1)


def _answer(found: list[Incident], host: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    elif not found:
        output.say(f"{host}: nothing sick was found in the last minutes.")
    well = {IncidentState.HEALED, IncidentState.ALREADY_WELL, IncidentState.NOISE}
    if any(incident.state not in well for incident in found):
        raise typer.Exit(1)
