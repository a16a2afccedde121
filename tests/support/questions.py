"""Questions to a person, as the pipeline asks them about a decision."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.domain import ids
from orchestrator.domain.actions import Decision
from orchestrator.domain.ids import IncidentId
from orchestrator.domain.verdicts import Approval


def question(incident: IncidentId, host: str, decision: Decision, asked_at: datetime) -> Approval:
    """Open for an hour."""
    return Approval(
        id=ids.approval_id(incident),
        incident_id=incident,
        host=host,
        action=decision.action,
        parameters=dict(decision.parameters),
        digest="d" * 64,
        rule="propose",
        reason=decision.reason,
        asked_at=asked_at,
        expires_at=asked_at + timedelta(hours=1),
    )
