"""Gemini picks one of the offered actions, or tells a person. It never writes.

Light to import: google.genai, which costs a second and 60 MB, enters through gemini_client.py when the first
question is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.decide.prompt import Shown, show
from orchestrator.decide.reply import read_reply
from orchestrator.domain.actions import Decision
from orchestrator.domain.hosts import Secret
from orchestrator.errors import ModelBusy, ModelTimeout
from orchestrator.ports import Case

if TYPE_CHECKING:
    from orchestrator.decide.gemini_client import GeminiClient

#: Tries in all, and the seconds before the second and third where the service names no time.
_TRIES = 3
_BACKOFF = (0.5, 1.5)


class GeminiChooser:
    """Asks Gemini, once an incident. Raises ModelTimeout, ModelUnavailable, BadReply; never guesses."""

    name = "gemini"

    def __init__(
        self,
        *,
        api_key: Secret,
        model: str,
        timeout_seconds: float,
        base_url: str = "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout_seconds` bounds one choice, retries included. `pause` is how to wait between tries."""
        self._api_key = api_key
        self._model = model
        self._timeout = timeout_seconds
        self._base_url = base_url
        self._pause = pause
        self._client: GeminiClient | None = None
        self._lock = threading.Lock()

    def choose(self, case: Case) -> Decision:
        """One offered candidate, `escalate` or `none`, as the model picked it."""
        shown = show(case)
        text = self._ask(shown, time.monotonic() + self._timeout)
        return read_reply(text, shown.candidates, chooser=self.name, shown_digest=shown.digest)

    def close(self) -> None:
        """Drop connections; the next question opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, shown: Shown, deadline: float) -> str:
        for attempt in range(_TRIES):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return self._within(left, partial(self._try, shown, left))
            except ModelBusy as busy:
                wait = busy.retry_after if busy.retry_after is not None else _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
                # Waiting past the deadline, or after the last try, helps nobody.
                if attempt == _TRIES - 1 or wait >= deadline - time.monotonic():
                    raise
                self._pause(wait)
        raise ModelTimeout(f"Gemini did not answer within {self._timeout:.0f} s. Nothing was done.")

    def _try(self, shown: Shown, seconds: float) -> str:
        return self._ready().ask(shown, model=self._model, seconds=seconds)

    def _ready(self) -> GeminiClient:
        """The client, made on first use: its import is what costs."""
        from orchestrator.decide.gemini_client import GeminiClient

        with self._lock:
            if self._client is None:
                self._client = GeminiClient(api_key=self._api_key, base_url=self._base_url)
            return self._client

    def _within(self, seconds: float, call: Callable[[], str]) -> str:
        """The call's result, or ModelTimeout.

        Timeouts of the HTTP client bound single reads and no name look-up, so an endpoint that drips bytes would
        hold us for ever: the call has a thread of its own. A daemon, since it may outlive our patience and must
        not hold up an exit.
        """
        outcome: Future[str] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, whole
                outcome.set_exception(error)

        threading.Thread(target=run, name="gemini", daemon=True).start()
        try:
            return outcome.result(timeout=seconds)
        except TimeoutError:
            raise ModelTimeout(f"Gemini did not answer within {self._timeout:.0f} s. Nothing was done.") from None
