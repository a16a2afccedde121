"""One pass over a host, asked for by a person: the same question from the command line and over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Protocol

from orchestrator.ports import Fleet, Store


class Starts(Protocol):
    """What enqueues a workflow: the worker's engine, or a client of it. Raises StoreUnavailable."""

    def start(self, workflow: str, workflow_id: str, argument: str, *, host: str | None = None) -> None: ...


def ask(store: Store, fleet: Fleet, engine: Starts, host: str, actor: str) -> int:
    """Ask for it; the number of the ledger's line about it, which `look.ended` names as `asked`.

    Raises InventoryError for an unknown host, StoreUnavailable.
    """
    name = fleet.host(host).name
    seq = store.append("look.asked", host=name, text=f"{actor} asks for a pass over {name}", actor=actor).seq
    # Numbers come again where a store was put back; the engine knows those of before.
    workflow_id = f"look-{seq:012d}-{uuid.uuid4().hex[:8]}"
    engine.start("look", workflow_id, json.dumps({"host": name, "actor": actor, "seq": seq}), host=name)
    return seq
