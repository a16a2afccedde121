"""What a model was shown and answered, for the page of a healing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.domain.exchanges import Exchange
from orchestrator.errors import RecordError
from orchestrator.ports import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, its texts with their titles in the order in which they came."""

    exchange: Exchange
    texts: tuple[tuple[str, str], ...]


def asked(store: Store, incident_id: str) -> tuple[tuple[Asked, ...], str]:
    """Oldest first; and a sentence where what is on record is not what was recorded."""
    try:
        return tuple(_asked(one) for one in store.exchanges(incident_id)), ""
    except RecordError as error:
        return (), str(error)


def _asked(one: Exchange) -> Asked:
    shown = json.loads(one.shown)
    texts = (
        ("Told beforehand", shown["system"]),
        ("Shown", shown["text"]),
        ("Shape that an answer must have", json.dumps(shown["schema"], indent=2)),
        ("Answered", one.reply or "(nothing came)"),
    )
    return Asked(one, texts)
