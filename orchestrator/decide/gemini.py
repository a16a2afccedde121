"""Gemini picks one of the offered actions, or tells a person. It never writes.

Light to import: google.genai, which costs a second and 60 MB, enters through gemini_client.py when the first
question is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.decide.answer import Answer
from orchestrator.decide.prompt import TOKENS_MAX, Shown, show
from orchestrator.decide.reply import read_reply
from orchestrator.decide.wording import PROMPT
from orchestrator.domain.actions import Decision
from orchestrator.domain.exchanges import Exchange
from orchestrator.domain.hosts import Secret
from orchestrator.errors import BadReply, ModelBusy, ModelTimeout
from orchestrator.ports import Case

if TYPE_CHECKING:
    from orchestrator.decide.gemini_client import GeminiClient

#: Tries in all, and the seconds before the second and third where the service names no time.
_TRIES = 3
_BACKOFF = (0.5, 1.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class GeminiOptions:
    """Whom to ask, and how."""

    api_key: Secret
    model: str
    #: Bounds one choice, retries included.
    timeout_seconds: float
    base_url: str = ""
    temperature: float = 0.0
    #: Of a whole question, as `prompt.tokens` counts them.
    tokens_max: int = TOKENS_MAX
    #: Whether private addresses are replaced by stand-ins before anything leaves.
    hide_addresses: bool = False
    #: The fixed words: a file of the form of decide/prompt.md.
    prompt: Path = PROMPT
    #: Prices of a million tokens; 0 for both: no cost is recorded.
    price_in: float = 0.0
    price_out: float = 0.0


class GeminiChooser:
    """Asks Gemini, once an incident. Raises ModelTimeout, ModelUnavailable, BadReply; never guesses."""

    name = "gemini"

    def __init__(
        self,
        options: GeminiOptions,
        *,
        record: Callable[[str, Exchange], None] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`record` is told of each request by the incident's id, however it ended, before anything is done with its
        answer; None: nothing is kept. `pause` is how to wait between tries.
        """
        self._options = options
        self._record = record
        self._pause = pause
        self._client: GeminiClient | None = None
        self._lock = threading.Lock()

    def choose(self, case: Case) -> Decision:
        """One offered candidate, `escalate` or `none`, as the model picked it."""
        options = self._options
        deadline = time.monotonic() + options.timeout_seconds
        shown = show(case, tokens_max=options.tokens_max, hide_addresses=options.hide_addresses, prompt=options.prompt)
        for attempt in range(_TRIES):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return shown.restored(self._once(case.incident_id, shown, left))
            except ModelBusy as busy:
                wait = busy.retry_after if busy.retry_after is not None else _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
                # Waiting past the deadline, or after the last try, helps nobody.
                if attempt == _TRIES - 1 or wait >= deadline - time.monotonic():
                    raise
                self._pause(wait)
        raise self._late()

    def close(self) -> None:
        """Drop connections; the next question opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _once(self, incident_id: str, shown: Shown, seconds: float) -> Decision:
        """One request, recorded however it ended."""
        at, begun = datetime.now(UTC), time.monotonic()
        answer = self._within(seconds, partial(self._ask, shown, seconds))
        decision, error = None, answer.error
        if error is None:
            try:
                decision = read_reply(answer.text, shown.candidates, chooser=self.name, shown_digest=shown.digest)
            except BadReply as bad:
                error = bad
        if self._record is not None:
            exchange = Exchange(
                at=at,
                model=self._options.model,
                prompt_version=shown.version,
                shown=shown.whole,
                reply=answer.raw,
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
                cost=self._cost(answer),
                seconds=time.monotonic() - begun,
                error=error.code if error else "",
            )
            self._record(incident_id, exchange)
        if decision is None:
            raise error or self._late()
        return decision

    def _cost(self, answer: Answer) -> float | None:
        price_in, price_out = self._options.price_in, self._options.price_out
        if answer.tokens_in is None or answer.tokens_out is None or not (price_in or price_out):
            return None
        return (answer.tokens_in * price_in + answer.tokens_out * price_out) / 1e6

    def _late(self) -> ModelTimeout:
        return ModelTimeout(f"Gemini did not answer within {self._options.timeout_seconds:.0f} s. Nothing was done.")

    def _ask(self, shown: Shown, seconds: float) -> Answer:
        options = self._options
        return self._ready().ask(shown, model=options.model, temperature=options.temperature, seconds=seconds)

    def _ready(self) -> GeminiClient:
        """The client, made on first use: its import is what costs."""
        from orchestrator.decide.gemini_client import GeminiClient

        with self._lock:
            if self._client is None:
                self._client = GeminiClient(api_key=self._options.api_key, base_url=self._options.base_url)
            return self._client

    def _within(self, seconds: float, call: Callable[[], Answer]) -> Answer:
        """The call's result, or ModelTimeout in its place.

        Timeouts of the HTTP client bound single reads and no name look-up, so an endpoint that drips bytes would
        hold us for ever: the call has a thread of its own. A daemon, since it may outlive our patience and must
        not hold up an exit.
        """
        outcome: Future[Answer] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, whole
                outcome.set_exception(error)

        threading.Thread(target=run, name="gemini", daemon=True).start()
        try:
            return outcome.result(timeout=seconds)
        except TimeoutError:
            return Answer(error=self._late())
