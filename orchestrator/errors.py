"""Every exception that crosses a room, and what its class tells the reader to do.

HealingError
├── TemporaryError           the same thing may work later
│   ├── HostUnreachable · HostTimeout · HostBusy
│   ├── ModelUnavailable ── ModelBusy
│   └── ModelTimeout · StoreUnavailable
└── PermanentError           a person must act
    ├── ConfigError · CatalogError · InventoryError
    ├── HostKeyMismatch · HostAuthRefused
    ├── AnswerRefused        a question takes no answer any more, or not theirs
    ├── BadReply             the model answered outside the schema
    └── RecordError          no record, no action

A refusal, "no action", a failed or timed-out playbook and an unhealthy verify are values, never exceptions.
"""

from __future__ import annotations

from typing import ClassVar


class Interrupted(BaseException):
    """The worker ends in the middle of a step. No Exception: whatever catches those would record it as an outcome,
    while the step is to be run again by the next worker.
    """


class HealingError(Exception):
    """Base of all. `str(error)` is one sentence for a person; `code` is stable and documented."""

    code: ClassVar[str] = "healing_error"
    exit_code: ClassVar[int] = 1
    safe: ClassVar[str] = "Nothing was changed on any host."


class TemporaryError(HealingError):
    """The same thing may work later."""

    code = "temporary"
    exit_code = 75
    safe = "Nothing was changed; it is safe to try again."


class HostUnreachable(TemporaryError):
    """No SSH connection to the host."""

    code = "host_unreachable"


class HostTimeout(TemporaryError):
    """The host answered too late."""

    code = "host_timeout"


class HostBusy(TemporaryError):
    """Another run holds the host."""

    code = "host_busy"


class ModelUnavailable(TemporaryError):
    """The model's service refused or could not be reached."""

    code = "model_unavailable"


class ModelBusy(ModelUnavailable):
    """The model's service is overloaded, failing or out of reach for now; `retry_after` is in seconds."""

    code = "model_busy"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        #: None where the service named no time.
        self.retry_after = retry_after


class ModelTimeout(TemporaryError):
    """The model did not answer in time."""

    code = "model_timeout"


class StoreUnavailable(TemporaryError):
    """The store could not be read or written."""

    code = "store_unavailable"


class PermanentError(HealingError):
    """A person must act before it can work."""

    code = "permanent"
    exit_code = 78


class ConfigError(PermanentError):
    """The config file or a setting is wrong."""

    code = "config"


class AnswerRefused(PermanentError):
    """A question to a person takes no answer any more, or not theirs."""

    code = "answer_refused"
    safe = ""

    def __init__(self, message: str, *, bar: str) -> None:
        super().__init__(message)
        #: Stable: answered, expired, void, approver or four_eyes; of an outbreak also canary.
        self.bar = bar


class CatalogError(PermanentError):
    """An action's folder, role or spec is incomplete."""

    code = "catalog"


class InventoryError(PermanentError):
    """The inventory does not parse, or a host's variable can't be used."""

    code = "inventory"


class HostKeyMismatch(PermanentError):
    """The host's key is unknown or differs from known_hosts."""

    code = "host_key"
    safe = "No login was tried. Compare the fingerprint on the host, then `healer trust HOST`."


class HostAuthRefused(PermanentError):
    """The host refused our login."""

    code = "host_auth"


class BadReply(PermanentError):
    """The model answered outside the schema."""

    code = "bad_reply"
    safe = "No action was taken."


class RecordError(PermanentError):
    """The record could not be written, so nothing may act."""

    code = "record"
