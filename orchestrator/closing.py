"""Being done with what was escalated, or called noise: a person says so, and why."""

from __future__ import annotations

from orchestrator.domain.incidents import SETTLED, IncidentState
from orchestrator.errors import ConfigError
from orchestrator.ports import Store


def close(store: Store, incident_id: str, *, actor: str, reason: str) -> None:
    """The next error of it opens a new incident. Raises ConfigError where it is not settled."""
    closed = store.move(incident_id, IncidentState.EXPIRED, f"closed: {reason}", expected=sorted(SETTLED), actor=actor)
    if not closed:
        raise ConfigError(
            f"{incident_id} is not an escalated incident. Nothing was done. `healer incidents show {incident_id}`."
        )
