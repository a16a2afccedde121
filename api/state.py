"""What every route is given. Wired once, by `healer serve`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from orchestrator.domain.actions import Action
from orchestrator.domain.gauges import Gauges
from orchestrator.domain.records import Severity
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import ConfigError
from orchestrator.outbreak_answer import Said
from orchestrator.ports import ApiStore, Fleet, SourceState
from orchestrator.settings import Settings


class Trigger(Protocol):
    """A report enters at detect and goes through the whole pipeline; returns its incident's id.

    Raises InventoryError where an injected error may not act on the host, and TemporaryError.
    """

    def __call__(
        self,
        *,
        host: str,
        service: str,
        message: str,
        level: Severity,
        timestamp: datetime | None,
        actor: str,
        injected: bool = False,
    ) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiState:
    """The orchestrator as the API sees it. Raises ConfigError without a token: nothing may be open by accident."""

    store: ApiStore
    fleet: Fleet
    settings: Settings
    #: Bearer token that whatever changes state must show.
    token: str = field(repr=False)
    trigger: Trigger
    #: approval id, answer, who, why -> the answered approval. Raises ConfigError where it is too late.
    answer: Callable[[str, Answer, str, str], Approval]
    #: outbreak id, answer, who, why -> what became of each question. Raises AnswerRefused, ConfigError.
    answer_outbreak: Callable[[str, Answer, str, str], Sequence[Said]]
    #: host, who -> the number of the ledger's line about the pass that was asked for. Raises TemporaryError.
    look: Callable[[str, str], int]
    #: How each host is being read.
    reading: Callable[[], Sequence[SourceState]]
    #: The whitelist.
    actions: Sequence[Action]
    #: What the worker knows and the store does not.
    gauges: Callable[[], Gauges] = Gauges
    #: End every playbook that runs now; their ids.
    cancel: Callable[[], Sequence[str]] = tuple
    #: Of signed webhooks; '': they are switched off.
    webhook_secret: str = field(default="", repr=False)
    #: Seconds that POST heal waits for the end, and between two looks at the store.
    heal_wait_seconds: float = 60.0
    heal_look_seconds: float = 0.2

    def __post_init__(self) -> None:
        if not self.token.strip():
            raise ConfigError("The API's token is empty. Delete the token file; `healer init` makes a new one.")


def _of(request: Request) -> ApiState:
    state: ApiState = request.app.state.healing
    return state


#: What a route asks for.
State = Annotated[ApiState, Depends(_of)]
