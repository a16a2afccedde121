"""What a model was asked and what it answered, whole: so that a reviewer sees what it saw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request to a model, however it ended."""

    at: datetime
    model: str
    #: Of the prompt's fixed words (decide/prompt.md).
    prompt_version: str
    #: Everything that the model was shown, as canonical JSON: `schema`, `system`, `text`.
    shown: str
    #: The service's answer as it came, the API key taken out; '' where none came.
    reply: str = ""
    #: None: the service did not say.
    tokens_in: int | None = None
    tokens_out: int | None = None
    #: In the currency of the prices in the settings; None: no price is set, or no tokens were told.
    cost: float | None = None
    seconds: float
    #: Stable code of the error that it ended with; '': it was answered in the agreed shape.
    error: str = ""

    @property
    def shown_digest(self) -> str:
        """SHA-256; the decision that came of it has the same."""
        return digest(self.shown)

    @property
    def reply_digest(self) -> str:
        """SHA-256; '' where no answer came."""
        return digest(self.reply) if self.reply else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What requests to models came to."""

    calls: int = 0
    #: Those that ended with an error.
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: Of those whose cost is known.
    cost: float = 0.0


def digest(text: str) -> str:
    """SHA-256 of the text's UTF-8, as hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
