"""Identifiers that sort by time, and typed strings that must not be mixed up."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import NewType

IncidentId = NewType("IncidentId", str)
RunId = NewType("RunId", str)
ApprovalId = NewType("ApprovalId", str)
Signature = NewType("Signature", str)
Cursor = NewType("Cursor", str)

_OUTBREAK = "ob-"


def id_at(moment: datetime) -> str:
    """What every incident that was opened before `moment` sorts below, and every later one above."""
    return f"inc-{int(moment.timestamp() * 1000):012x}"


def new_incident_id(now: datetime) -> IncidentId:
    """`inc-` + 12 hex digits of milliseconds + 8 random: sorts by time, also inside a queue."""
    return IncidentId(f"{id_at(now)}{secrets.token_hex(4)}")


def following_id(incident: IncidentId, unit: str) -> IncidentId:
    """The next step of an incident for a unit: its time, so that it sorts beside it, and 8 digits of a digest."""
    digest = hashlib.sha256(f"{incident}\0{unit}".encode("utf-8", "surrogatepass")).hexdigest()
    return IncidentId(f"{incident[:-8]}{digest[:8]}")


def ask_id(incident: IncidentId) -> str:
    """The workflow that prepares the question to a person, in the host's slot."""
    return f"{incident}-ask"


def apply_id(incident: IncidentId, turn: int = 1) -> str:
    """The one apply workflow of an incident for each turn: a second approval can't start a second one."""
    return f"{incident}-apply{turn if turn > 1 else ''}"


def hold_id(incident: IncidentId) -> str:
    """The workflow that waits out the hold time, outside the host's slot."""
    return f"{incident}-hold"


def rollback_id(incident: IncidentId) -> str:
    """The workflow that undoes an act that did not help."""
    return f"{incident}-rollback"


def incident_of(workflow_id: str) -> IncidentId:
    """The incident that a healing's workflow belongs to."""
    name, _, part = workflow_id.rpartition("-")
    return IncidentId(name if part.rstrip("0123456789") in ("ask", "apply", "hold", "rollback") else workflow_id)


def outbreak_id(incident: IncidentId) -> str:
    """The outbreak that an incident opened, and decides for."""
    return f"{_OUTBREAK}{incident.removeprefix('inc-')}"


def is_outbreak(name: str) -> bool:
    """Whether what a run or a line of the ledger belongs to is an outbreak, and no incident."""
    return name.startswith(_OUTBREAK)


def decider_of(outbreak: str) -> IncidentId:
    """The incident that opened an outbreak."""
    return IncidentId(f"inc-{outbreak.removeprefix(_OUTBREAK)}")


def wave_id(outbreak: str, number: int) -> str:
    """The workflow of one wave; its runs are named after it."""
    return f"{outbreak}-w{number}"


def wave_of(workflow_id: str) -> tuple[str, int]:
    """The outbreak and the number of a wave."""
    outbreak, _, number = workflow_id.rpartition("-w")
    return outbreak, int(number)


def run_id(incident: IncidentId | str, kind: str) -> RunId:
    """One run of each kind for an incident, or a wave: the same id again means the same run."""
    return RunId(f"{incident}-{kind}")


def second_run_id(incident: IncidentId | str, kind: str) -> RunId:
    """The run that stands in for a reading that was cut."""
    return again(run_id(incident, kind))


def again(run: RunId) -> RunId:
    """The same, of a run by its id."""
    return RunId(f"{run}-2")


def approval_id(incident: IncidentId) -> ApprovalId:
    """The one question that a healing may ask."""
    return ApprovalId(f"apr-{incident.removeprefix('inc-')}")
