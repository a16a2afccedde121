"""Takes a person's answer outside of the worker: with the files, the inventory and a visit to the host of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator import catalog
from orchestrator.act.readings import Readings
from orchestrator.answering import Desk
from orchestrator.collect.connection import Connections
from orchestrator.collect.probe import SshProbe
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.fleet.inventory import InventoryFleet
from orchestrator.ports import Store
from orchestrator.settings import Settings


def answer(loaded: Settings, store: Store, approval_id: str, answered: Answer, who: str, why: str) -> Approval:
    """Answer a question; the worker's sweep carries it out. Raises as Desk.answer does."""
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
        return desk.answer(approval_id, answered, who, why)
    finally:
        connections.close()
