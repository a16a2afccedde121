"""The one door to google.genai: one request, one text back, every foreign error translated.

Importing this costs about a second and 60 MB, so orchestrator/decide/gemini.py does it when first asked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil, isfinite
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from orchestrator.decide.answer import Answer
from orchestrator.decide.prompt import Shown
from orchestrator.decide.redact import redact
from orchestrator.domain.hosts import Secret
from orchestrator.errors import BadReply, ModelBusy, ModelTimeout, ModelUnavailable

#: Bytes of an HTTP answer. A real one has about 1 kB.
BODY_MAX = 256 * 1024
#: A whole answer takes about 100 tokens.
_TOKENS = 512
#: Where a model can't be kept from thinking, its thoughts come out of the same budget.
_TOKENS_WITH_THOUGHTS = 4096
_KEY = re.compile(r"[!-~]+", re.ASCII)
#: Named here, so that no variable of the environment sends logs and key elsewhere.
_BASE_URL = "https://generativelanguage.googleapis.com/"
#: The version that has had schemas and thinking budgets all along; named for the same reason.
_API_VERSION = "v1beta"
#: The service refuses a deadline below this ("Minimum allowed deadline is 10s"); ours is kept on this side.
_SERVER_DEADLINE_MIN = 10
#: More than any question or answer has; a count beyond it is made up.
_COUNT_MAX = 10**9
#: Worth another try, within the time that is left.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
#: What the client raises on an answer that is no answer of the API: it reads the body without checking it.
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)


class GeminiClient:
    """Talks to one endpoint with one key. Safe to use from several threads."""

    def __init__(self, *, api_key: Secret, base_url: str) -> None:
        self._key = api_key.strip()
        # Checked here: the HTTP client would quote an ill-formed header, and with it the key, in its error.
        if not _KEY.fullmatch(self._key):
            raise ModelUnavailable("The Gemini API key holds characters that no key has. Check the API key.")
        # An own HTTP client: no redirects (they would carry key and logs to another host), bounded answers,
        # and errors of one known library whatever the environment asks google.genai to use.
        self._http = httpx2.Client(follow_redirects=False, event_hooks={"response": [self._bound]})
        #: The body that the request of this thread got, for the record.
        self._heard = threading.local()
        self._client = genai.Client(
            api_key=self._key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=base_url or _BASE_URL, api_version=_API_VERSION, httpx_client=self._http
            ),
        )

    def close(self) -> None:
        """Drop connections."""
        self._http.close()

    def ask(self, shown: Shown, *, model: str, temperature: float, seconds: float) -> Answer:
        """What the model answered, not yet checked, or the error in its place: ModelBusy where another try may help.

        `seconds` bounds connect and each read; the caller bounds the whole. Errors have no cause: that would carry
        the request, and with it the key.
        """
        self._heard.body = bytearray()
        text = ""
        counts: tuple[int | None, int | None] = (None, None)
        error: ModelUnavailable | ModelTimeout | BadReply | None = None
        try:
            response = self._client.models.generate_content(
                model=model, contents=shown.text, config=_config(shown, model, temperature, seconds)
            )
            counts = _counts(response)
            text = _text(response)
        except BadReply as bad:
            error = bad
        except (errors.APIError, httpx2.HTTPError, httpx2.InvalidURL, *_UNREADABLE) as foreign:
            error = self._translated(foreign, model, seconds)
        raw = self._heard.body.decode("utf-8", "replace").replace(self._key, "[key]")
        return Answer(raw=raw, text=text, tokens_in=counts[0], tokens_out=counts[1], error=error)

    def _translated(self, error: Exception, model: str, seconds: float) -> ModelUnavailable | ModelTimeout | BadReply:
        if isinstance(error, errors.APIError):
            return self._refusal(error, model)
        if isinstance(error, httpx2.TimeoutException):
            return ModelTimeout(f"Gemini did not answer within {seconds:.0f} s. Nothing was done.")
        if isinstance(error, httpx2.TransportError):
            # Refused, no route, no name, cut off: another try may find it back.
            return ModelBusy(f"Gemini could not be reached: {self._clean(str(error))}. Nothing was done.")
        if isinstance(error, httpx2.InvalidURL):
            return ModelUnavailable("gemini_base_url is no address that can be asked. Correct it.")
        if isinstance(error, httpx2.HTTPError):
            return BadReply(f"Gemini's answer can't be read: {self._clean(str(error))}. A person must look.")
        return BadReply(f"Gemini's answer can't be read ({type(error).__name__}). A person must look.")

    def _refusal(self, error: errors.APIError, model: str) -> ModelUnavailable:
        status = f"{error.code}: {self._clean(error.message if isinstance(error.message, str) else '')}"
        if error.code in _PASSING:
            return ModelBusy(
                f"Gemini is busy or failing ({status}). Nothing was done.", retry_after=_retry_after(error)
            )
        if error.code in (400, 401, 403):
            return ModelUnavailable(f"Gemini refused us ({status}). Check the API key and gemini_model={model!r}.")
        if error.code == 404:
            return ModelUnavailable(f"Gemini knows no model {model!r} ({status}). Check gemini_model.")
        return ModelUnavailable(f"Gemini refused the request ({status}). Check gemini_base_url.")

    def _clean(self, foreign: str) -> str:
        """A foreign text for a person. A hostile or clumsy endpoint may send back what it was sent."""
        return _said(redact(foreign.replace(self._key, "[key]")).rstrip("."))

    def _bound(self, response: httpx2.Response) -> None:
        # Packed bodies are refused: a small one unpacks to any size, after the count. We did not ask for one.
        packed = response.headers.get("Content-Encoding", "identity")
        if packed != "identity":
            raise BadReply(f"Gemini's answer came packed ({_said(packed)[:40]}), unasked. A person must look.")
        response.stream = _BoundedStream(response.stream, self._heard.body)


def _config(shown: Shown, model: str, temperature: float, seconds: float) -> types.GenerateContentConfig:
    thinking, tokens = _thinking(model)
    return types.GenerateContentConfig(
        system_instruction=shown.system,
        temperature=temperature,
        candidate_count=1,
        max_output_tokens=tokens,
        response_mime_type="application/json",
        response_schema=shown.schema,
        thinking_config=thinking,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        http_options=types.HttpOptions(
            timeout=max(1, int(seconds * 1000)),
            headers={"X-Server-Timeout": str(max(_SERVER_DEADLINE_MIN, ceil(seconds)))},
        ),
    )


def _thinking(model: str) -> tuple[types.ThinkingConfig | None, int]:
    """As little thinking as the model allows; older models refuse the very field."""
    name = model.removeprefix("models/")
    if name.startswith("gemini-2.5-flash"):
        return types.ThinkingConfig(thinking_budget=0), _TOKENS
    if name.startswith("gemini-2.5"):
        return types.ThinkingConfig(thinking_budget=128), _TOKENS_WITH_THOUGHTS
    if name.startswith(("gemini-1", "gemini-2")):
        return None, _TOKENS
    if name.startswith("gemini-3"):
        return types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW), _TOKENS_WITH_THOUGHTS
    return None, _TOKENS_WITH_THOUGHTS


def _counts(response: types.GenerateContentResponse) -> tuple[int | None, int | None]:
    """Tokens in and out, thoughts included, as the service says; None where it says nothing that can be true."""
    usage = response.usage_metadata
    if usage is None:
        return None, None
    answered = usage.candidates_token_count
    out = None if answered is None else answered + (usage.thoughts_token_count or 0)
    return _count(usage.prompt_token_count), _count(out)


def _count(number: int | None) -> int | None:
    return number if number is not None and 0 <= number <= _COUNT_MAX else None


def _text(response: types.GenerateContentResponse) -> str:
    """The text of a complete answer. Raises BadReply for one that is missing, cut or of another kind."""
    feedback = response.prompt_feedback
    if feedback and feedback.block_reason:
        raise BadReply(f"Gemini blocked the question ({_said(feedback.block_reason)}). A person must look.")
    if not response.candidates:
        raise BadReply("Gemini gave no answer. A person must look.")
    if len(response.candidates) > 1:
        raise BadReply(f"Gemini gave {len(response.candidates)} answers instead of one. A person must look.")
    candidate = response.candidates[0]
    if candidate.finish_reason != types.FinishReason.STOP:
        reason = _said(candidate.finish_reason or "no reason given")
        raise BadReply(f"Gemini's answer is not complete ({reason}). A person must look.")
    parts = [part for part in (candidate.content and candidate.content.parts) or [] if not part.thought]
    if not parts or any(part.text is None for part in parts):
        raise BadReply("Gemini's answer has no text. A person must look.")
    return "".join(part.text or "" for part in parts)


def _said(foreign: object) -> str:
    """A foreign text as one bounded, printable line."""
    text = foreign.value if isinstance(foreign, types.FinishReason | types.BlockedReason) else str(foreign)
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:200] or "no reason given"


def _retry_after(error: errors.APIError) -> float | None:
    """Seconds that the service asks us to wait: the Retry-After header, else RetryInfo in the body."""
    header = error.response.headers.get("Retry-After") if error.response is not None else None
    if header:
        return _seconds(header)
    details = error.details.get("error", {}) if isinstance(error.details, dict) else {}
    rows = details.get("details", []) if isinstance(details, dict) else []
    for row in rows if isinstance(rows, list) else []:
        delay = row.get("retryDelay") if isinstance(row, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return _seconds(delay[:-1])
    return None


def _seconds(text: str) -> float | None:
    """Retry-After is a number of seconds or a date; None where it is neither."""
    try:
        seconds = float(text)
        return max(0.0, seconds) if isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class _BoundedStream(httpx2.SyncByteStream):
    """An answer's body that ends in BadReply instead of in all of our memory; what was read of it is kept."""

    def __init__(self, stream: Any, kept: bytearray) -> None:
        self._stream = stream
        self._kept = kept

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            self._kept += chunk[: BODY_MAX - len(self._kept)]
            if size > BODY_MAX:
                raise BadReply(f"Gemini's answer is larger than {BODY_MAX} bytes. A person must look.")
            yield chunk

    def close(self) -> None:
        self._stream.close()
