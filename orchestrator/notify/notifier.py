"""Telling a person: one protocol, and the log as its first place."""

from __future__ import annotations

import logging
from typing import Protocol

from orchestrator.domain.incidents import Incident

log = logging.getLogger("healing.notify")


class Notifier(Protocol):
    """Tells people. Never raises: what was told is in the ledger already."""

    def tell(self, action: str, incident: Incident, sentence: str) -> None:
        """`action` is a stable key such as incident.escalated; `sentence` is for a person."""
        ...


class LogNotifier:
    """One structured line in the log of `healer serve`."""

    def tell(self, action: str, incident: Incident, sentence: str) -> None:
        """Warning level; the key and ids are in the line's `extra` for whoever collects logs as data."""
        log.warning(
            "%s %s on %s (%s): %s",
            action,
            incident.id,
            incident.host,
            incident.subject.name,
            sentence,
            extra={"action": action, "incident": incident.id, "host": incident.host},
        )
