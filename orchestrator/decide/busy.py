"""The one error of this room that says when to ask again. Apart from the client, so that it costs no import."""

from __future__ import annotations

from orchestrator.errors import ModelUnavailable


class ModelBusy(ModelUnavailable):
    """The service is overloaded, failing or out of reach for now: another try may help."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        #: Seconds that the service asked us to wait; None where it named no time.
        self.retry_after = retry_after
