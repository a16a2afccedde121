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

    def alarm(self, key: str, sentence: str) -> None:
        """Of healing-bot itself, such as store.down: no incident, and nothing of it may be on record."""
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

    def alarm(self, key: str, sentence: str) -> None:
        """Error level."""
        log.error("%s: %s", key, sentence, extra={"action": key})
