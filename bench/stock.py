"""A store with a year of healings on many hosts, written in bulk through the store's own tables."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestrator.domain import ids
from orchestrator.record import schema
from orchestrator.record.store import open_store

DAYS, SIGNATURES, SERVICES, OUTBREAKS, MEMBERS = 365, 500, 40, 60, 12
#: Of the newest, those that wait for a person or are under way; of the rest, how each thousand ended.
ESCALATED, UNDER_WAY = 150, 40
ENDS = {"healed": 850, "expired": 90, "already_well": 50, "noise": 10}
ACTIONS = ("restart_service", "clear_cache", "rotate_logs", "free_disk_space", "reload_config")
#: Healings whose rows are written at once.
AT_ONCE = 2000

Rows = dict[sa.Table, list[dict[str, Any]]]


def host(number: int) -> str:
    """The name of a host."""
    return f"host{number:04d}"


def fill(file: Path, healings: int, hosts: int, now: datetime) -> None:
    """Make the file, with so many healings up to `now`."""
    open_store(f"sqlite:///{file}").close()
    engine, chance = sa.create_engine(f"sqlite:///{file}"), random.Random(6)  # noqa: S311  # the same store again
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.commit()
        for begin in range(0, healings, AT_ONCE):
            rows: Rows = {}
            for number in range(begin, min(healings, begin + AT_ONCE)):
                at = now - timedelta(days=DAYS) * (1 - number / healings)
                for table, row in _healing(number, healings - number, hosts, at, chance):
                    rows.setdefault(table, []).append(row)
            for table, found in rows.items():
                connection.execute(table.insert(), found)
            connection.commit()
        _outbreaks(connection)
        _words(connection, now)
        connection.execute(schema.WORKER.insert().values(name="worker", seen=now + timedelta(days=1)))
        connection.commit()
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


def _state(left: int, chance: random.Random) -> str:
    if left <= UNDER_WAY:
        return ("healing", "planning", "verified", "pending_approval")[left % 4]
    if left <= UNDER_WAY + ESCALATED:
        return "escalated"
    return chance.choices(list(ENDS), list(ENDS.values()))[0]


def _healing(
    number: int, left: int, hosts: int, at: datetime, chance: random.Random
) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    incident, state = f"{ids.id_at(at)}{number:08x}", _state(left, chance)
    # One host has few troubles, another many; so have signatures.
    where = host(int(hosts * chance.random() ** 1.5))
    kind = int(SIGNATURES * chance.random() ** 2)
    signature, service = f"{kind:016x}", f"service{kind % SERVICES}.service"
    subject = service if left > UNDER_WAY + ESCALATED else f"service{left}.service"
    action, template = ACTIONS[kind % len(ACTIONS)], f"{service}: Main process exited, code <n>, kind {kind}"
    parameters = {"service": service}
    yield (
        schema.INCIDENT,
        {
            **{"id": incident, "host": where, "subject_kind": "unit", "subject_name": subject},
            **{"signature": signature, "template": template, "severity": 3, "state": state, "origin": "log"},
            **{"first_seen": at, "last_seen": at + timedelta(minutes=1), "count": 3, "age_at_detection": 0.3},
            "reason": "verified, and silent for 30 s",
        },
    )
    yield schema.SIGNATURE, {"incident_id": incident, "signature": signature}
    for line in range(3):
        record = {"time": at, "host": where, "unit": service, "priority": 3, "message": template, "cursor": f"c{line}"}
        flags = {"source": "journal", "unit_failure": line == 0, "own_session": False, "injected": False}
        yield schema.EVIDENCE, {"incident_id": incident, **record, **flags}
    chosen = {"action": action, "parameters": parameters, "reason": "the unit is down", "chooser": "embedded"}
    yield (
        schema.DECISION,
        {
            **{"incident_id": incident, **chosen, "shown_digest": "a" * 64, "confidence": None},
            **{"offered": [[action, {"service": [service]}]], "signatures": [signature]},
        },
    )
    reason = {"outcome": "allowed", "rule": "", "reason": "every rule allows it", "digest": "d" * 64}
    yield schema.VERDICT, {"incident_id": incident, **reason, "facts": {"units": {}, "paths": {}}}
    yield from _approval(number, incident, where, at, state, chosen)
    yield from _runs(incident, where, at, state, chosen, signature)
    for step, name in enumerate(EVENTS):
        event = {"at": at + timedelta(seconds=step), "kind": name, "incident_id": incident, "host": where}
        yield schema.EVENT, {**event, "text": f"{name} of {service}", "actor": "healing-bot", "data": {"step": step}}
    if number % 50 == 0:
        event = {"at": at, "kind": "api.called", "incident_id": "", "host": "", "actor": "ann"}
        yield schema.EVENT, {**event, "text": "POST /api/v1/heal", "data": {}}


EVENTS = (
    *("incident.opened", "incident.planning", "decision.made", "verdict.given", "incident.healing"),
    *("run.started", "run.ended", "run.started", "run.ended", "incident.healed"),
)


def _approval(
    number: int, incident: str, where: str, at: datetime, state: str, chosen: dict[str, Any]
) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    waits = state == "pending_approval"
    if waits or number % 5 == 0:
        values = {"id": f"apr-{incident.removeprefix('inc-')}", "incident_id": incident, "host": where}
        answer = {"answer": "pending" if waits else "approved", "answered_by": "" if waits else "ann"}
        times = {"asked_at": at, "expires_at": at + timedelta(hours=4), "answered_at": None if waits else at}
        asked = {"action": chosen["action"], "parameters": chosen["parameters"], "digest": "d" * 64, "rule": "mode"}
        yield schema.APPROVAL, {**values, **asked, **answer, **times, "reason": "propose", "answer_reason": ""}


def _runs(
    incident: str, where: str, at: datetime, state: str, chosen: dict[str, Any], signature: str
) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    kinds = {"pending_approval": ("look",), "planning": (), "already_well": ("check",), "noise": ()}
    for step, kind in enumerate(kinds.get(state, ("check", "act", "verify"))):
        started = at + timedelta(seconds=2 + 3 * step)
        failed = state in ("escalated", "expired") and kind == "verify"
        yield (
            schema.RUN,
            {
                **{"id": f"{incident}-{kind}", "incident_id": incident, "kind": kind, "action": chosen["action"]},
                **{"parameters": chosen["parameters"], "hosts": [where], "signatures": [signature]},
                **{"status": "failed" if failed else "succeeded", "started": started, "reason": "", "rc": int(failed)},
                **{"ended": started + timedelta(seconds=2), "pid": 1, "pid_start": 1, "slot_shut": False},
            },
        )
        yield schema.RUN_HOST, {"run_id": f"{incident}-{kind}", "host": where, "held": False}


def _outbreaks(connection: sa.Connection) -> None:
    """Of incidents that are there, one a host, as members in waves; one outbreak goes on."""
    table = schema.INCIDENT
    query = sa.select(table.c.id, table.c.host, table.c.signature, table.c.template, table.c.first_seen)
    for number in range(OUTBREAKS):
        name = f"{number:016x}"
        rows = connection.execute(query.where(table.c.signature == name).order_by(table.c.seq.desc()).limit(100)).all()
        members = {row.host: row for row in rows}
        found = list(members.values())[:MEMBERS]
        if not found:
            continue
        outbreak, state = ids.outbreak_id(ids.IncidentId(found[0].id)), "healed" if number else "healing"
        values = {"id": outbreak, "signature": name, "template": found[0].template, "action": ACTIONS[0]}
        times = {"opened_at": found[0].first_seen, "ended_at": found[0].first_seen if number else None}
        connection.execute(
            schema.OUTBREAK.insert().values(**values, **times, parameters={}, state=state, wave=3, reason="")
        )
        connection.execute(
            schema.OUTBREAK_MEMBER.insert(),
            [
                {"incident_id": row.id, "outbreak_id": outbreak, "host": row.host, "wave": 1 + place % 3}
                | {"ending": "verified" if number else "", "reason": ""}
                for place, row in enumerate(found)
            ],
        )


def _words(connection: sa.Connection, now: datetime) -> None:
    for number in range(0, SIGNATURES, 20):
        said = {"actor": "ann", "reason": "seen before", "at": now.astimezone(UTC) - timedelta(days=number % 90)}
        what = {"signature": f"{number:016x}", "template": "", "standing": "pinned", "action": ACTIONS[0]}
        connection.execute(schema.PRECEDENT.insert().values(**what, **said, parameters={"service": "nginx"}))
