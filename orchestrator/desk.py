"""Takes a person's answer outside of the worker: with the files, the inventory and a visit to the host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from orchestrator import catalog
from orchestrator.act.readings import Readings
from orchestrator.answering import Desk
from orchestrator.collect.connection import Connections
from orchestrator.collect.probe import SshProbe
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.fleet.inventory import InventoryFleet
from orchestrator.outbreak_answer import Said, answer_outbreak
from orchestrator.ports import Store
from orchestrator.settings import Settings


def answer(loaded: Settings, store: Store, approval_id: str, answered: Answer, who: str, why: str) -> Approval:
    """Answer a question; the worker's sweep carries it out. Raises as Desk.answer does."""
    with _desk(loaded, store) as desk:
        return desk.answer(approval_id, answered, who, why)


def answer_all(
    loaded: Settings, store: Store, outbreak_id: str, answered: Answer, who: str, why: str
) -> tuple[Said, ...]:
    """Answer all that is asked about an outbreak. Raises as answer_outbreak does."""
    with _desk(loaded, store) as desk:
        return answer_outbreak(desk, outbreak_id, answered, who, why)


@contextmanager
def _desk(loaded: Settings, store: Store) -> Iterator[Desk]:
    actions, connections = catalog.load(loaded.playbooks_dir, loaded.roles_dir), Connections(loaded)
    desk = Desk(
        store=store,
        fleet=InventoryFleet(loaded.inventory, loaded.fleet_environment, actions=actions.actions),
        catalog=actions,
        readings=Readings(loaded),
        probe=SshProbe(connections),
        now=lambda: datetime.now(UTC),
    )
    try:
        yield desk
    finally:
        connections.close()
