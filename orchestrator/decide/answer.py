"""What came of one request to a model."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import BadReply, ModelTimeout, ModelUnavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A text that is not yet checked, or the error that came instead of it."""

    #: The body as it came, bounded, the API key taken out; '' where none came.
    raw: str = ""
    text: str = ""
    #: As the service counted; None: it did not say.
    tokens_in: int | None = None
    tokens_out: int | None = None
    error: ModelUnavailable | ModelTimeout | BadReply | None = None
