"""`healer incidents`: what is or was sick."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated

import typer

from orchestrator import app as wiring
from orchestrator import closing
from orchestrator.cli import lookup, outbreaks, output
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.incidents import Incident, IncidentState, Origin, SubjectKind

app = typer.Typer(help="What is or was sick: list, show, close.", no_args_is_help=True, rich_markup_mode=None)


def what(incident: Incident) -> str:
    """The sick thing as a person knows it: what has no name is shown by its words."""
    return incident.template if incident.subject.kind is SubjectKind.SIGNATURE else incident.subject.name


@app.command("list")
def list_(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Only this host.")] = None,
    state: Annotated[IncidentState | None, typer.Option(help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: output.Json = False,
) -> None:
    """Newest first."""
    store = wiring.open_record(wiring.settings(context.obj))
    found = store.incidents(host=host, states=[state] if state else (), limit=limit)
    if as_json:
        return output.print_json(found)
    output.table(
        ("incident", "host", "what", "state", "count", "first seen", "last seen", "why"),
        (
            (
                incident.id,
                output.text(incident.host),
                output.text(what(incident), 60),
                output.state(incident.state) + (" (injected)" if incident.origin is Origin.INJECTED else ""),
                str(incident.count),
                output.when(incident.first_seen),
                output.when(incident.last_seen),
                output.text(incident.reason, 80),
            )
            for incident in found
        ),
        "No incidents. `healer doctor` tells whether every host is being read.",
    )


@app.command()
def show(context: typer.Context, incident_id: str, as_json: output.Json = False) -> None:
    """One incident with its evidence, decision, verdict, runs and every step in order."""
    store = wiring.open_record(wiring.settings(context.obj))
    incident = lookup.incident(store, incident_id)
    incident_id = incident.id
    evidence, decision = store.evidence(incident_id), store.decision(incident_id)
    verdict, runs = store.verdict(incident_id), store.runs(incident_id=incident_id)
    events, exchanges = store.events(incident_id=incident_id), store.exchanges(incident_id)
    member = store.membership(incident_id)
    if as_json:
        return output.print_json(
            {
                "incident": incident,
                "evidence": evidence,
                "decision": decision,
                "exchanges": [_figures(exchange) for exchange in exchanges],
                "verdict": verdict,
                "runs": runs,
                "outbreak": member,
                "events": events,
            }
        )
    marked = "  (injected)" if incident.origin is Origin.INJECTED else ""
    output.say(f"{incident.id}  {incident.host}  {what(incident)}  {incident.state}{marked}")
    output.say(f"  {incident.reason}")
    output.say(
        f"  seen {incident.count} times, {output.when(incident.first_seen)} to {output.when(incident.last_seen)}"
    )
    if incident.follows:
        output.say(f"  step {incident.step} of a healing: goes on with {incident.follows}")
    output.say(f"  signature {incident.signature}")
    for record in evidence[-10:]:
        output.say(f"  log  {output.when(record.time)} {record.unit or '-'}: {output.text(record.message, 200)}")
    for exchange in exchanges:
        output.say(f"  asked {_summary(exchange)}; `healer incidents exchange {incident_id}` shows it whole")
    if decision:
        chosen = output.deed(decision.action, decision.parameters)
        output.say(f"  decision by {decision.chooser}: {chosen}; {decision.reason}")
    if verdict:
        output.say(f"  verdict: {verdict.outcome} by rule {verdict.rule}; {verdict.reason}")
    if member:
        where = f", wave {member.wave}" if member.wave else ""
        output.say(f"  outbreak {member.outbreak_id}{where}: {outbreaks.stands(member)}")
    for run in reversed(runs):
        output.say(f"  run {run.id}: {run.status} {run.reason}".rstrip())
    for event in events:
        output.say(f"  {output.when(event.at)} {event.kind} ({event.actor}): {event.text}")


@app.command()
def exchange(context: typer.Context, incident_id: str, as_json: output.Json = False) -> None:
    """What a model was shown for an incident and what it answered, whole, each request in order."""
    store = wiring.open_record(wiring.settings(context.obj))
    incident = lookup.incident(store, incident_id)
    found = store.exchanges(incident.id)
    if as_json:
        texts = ({"shown": json.loads(one.shown), "reply": one.reply} for one in found)
        return output.print_json([_figures(one) | text for one, text in zip(found, texts, strict=True)])
    if not found:
        output.say(f"No model was asked about {incident.id}.")
    for one in found:
        shown = json.loads(one.shown)
        output.say(f"{output.when(one.at)} {_summary(one)}")
        output.say(f"  prompt version {one.prompt_version}; shown {one.shown_digest}; reply {one.reply_digest or '-'}")
        for title, text in (("system", shown["system"]), ("question", shown["text"])):
            output.say(f"\n--- {title} ---\n{text}")
        output.say(f"\n--- schema ---\n{json.dumps(shown['schema'], indent=2)}")
        output.say(f"\n--- reply ---\n{one.reply or '(none came)'}\n")


def _figures(exchange: Exchange) -> dict[str, object]:
    """An exchange without its texts, which are long."""
    figures = {field.name: getattr(exchange, field.name) for field in fields(exchange)}
    digests = {"shown_digest": exchange.shown_digest, "reply_digest": exchange.reply_digest}
    return {name: value for name, value in figures.items() if name not in ("shown", "reply")} | digests


def _summary(exchange: Exchange) -> str:
    counted = (("in", exchange.tokens_in), ("out", exchange.tokens_out))
    tokens = ", ".join(f"{number} tokens {way}" for way, number in counted if number is not None)
    cost = "" if exchange.cost is None else f", cost {exchange.cost:.6f}"
    return (
        f"{exchange.model}: {exchange.error or 'answered'} after {exchange.seconds:.1f} s"
        f"{f', {tokens}' if tokens else ''}{cost}"
    )


@app.command()
def close(
    context: typer.Context,
    incident_id: str,
    reason: Annotated[str, typer.Option(help="Why it is done with; recorded with your name.")],
) -> None:
    """Close an escalated incident, so that the next error opens a new one."""
    store = wiring.open_record(wiring.settings(context.obj))
    incident_id = lookup.incident(store, incident_id).id
    closing.close(store, incident_id, actor=wiring.actor(), reason=reason)
    output.say(f"{incident_id} is closed.")
