"""Wires settings to who decides. Heavy clients are imported where they are first needed, as in app.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.decide.breaker import Breaker
from orchestrator.domain.exchanges import Exchange, Usage
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Precedents
from orchestrator.ports import Chooser
from orchestrator.settings import Settings


def breaker(loaded: Settings) -> Breaker:
    """Of the model: closed for now."""
    return Breaker(failures=loaded.gemini_breaker_failures, seconds=loaded.gemini_breaker_seconds, clock=time.monotonic)


def chooser(
    loaded: Settings,
    record: Callable[[str, Exchange], None] | None = None,
    prompt: Path | None = None,
    away: Breaker | None = None,
) -> Chooser:
    """Gemini where a key is set, with the embedded chooser for when it is away; else the embedded chooser alone.

    `record` keeps what the model was asked and answered; None: nothing is kept. `prompt`: other words than ours.
    `away` opens while the model gives no answer; None: one of its own. Raises ConfigError for a file that is no prompt.
    """
    from orchestrator.decide.embedded import EmbeddedChooser

    embedded = EmbeddedChooser()
    if loaded.gemini_api_key is None:
        return embedded
    from orchestrator.decide.fallback import FallbackChooser
    from orchestrator.decide.gemini import GeminiChooser, GeminiOptions
    from orchestrator.decide.wording import PROMPT, wording

    wording(prompt or PROMPT)

    options = GeminiOptions(
        api_key=loaded.gemini_api_key,
        model=loaded.gemini_model,
        timeout_seconds=loaded.gemini_timeout_seconds,
        base_url=loaded.gemini_base_url,
        temperature=loaded.gemini_temperature,
        tokens_max=loaded.gemini_max_tokens,
        hide_addresses=loaded.gemini_hide_addresses,
        price_in=loaded.gemini_price_in,
        price_out=loaded.gemini_price_out,
        prompt=prompt or PROMPT,
    )
    return FallbackChooser(GeminiChooser(options, record=record), embedded, away or breaker(loaded))


def remembering(
    loaded: Settings,
    past: Callable[[Signature], Precedents],
    record: Callable[[str, Exchange], None] | None = None,
    away: Breaker | None = None,
) -> Chooser:
    """The same, behind memory: what healed an error before is chosen again. `past` is what memory knows."""
    from orchestrator.decide.memory import MemoryChooser

    return MemoryChooser(chooser(loaded, record, away=away), past, healed_times=loaded.memory_healed_times)


def described(loaded: Settings, usage: Usage | None) -> str:
    """Who decides, and what the model was asked in `usage`, the last 24 hours; None: that is not known."""
    keyed = loaded.gemini_api_key is not None
    # A key may be known to `healer serve` alone: its unit's environment is nobody else's.
    named = f"gemini ({loaded.gemini_model})" if keyed else "embedded (no GEMINI_API_KEY is set here)"
    if usage is None or not (keyed or usage.calls):
        return named
    failed = f" ({usage.failed} failed)" if usage.failed else ""
    cost = f", cost {usage.cost:.4f}" if loaded.gemini_price_in or loaded.gemini_price_out else ""
    asked = "1 request" if usage.calls == 1 else f"{usage.calls} requests"
    whose = "" if keyed else " by a healer serve that has one"
    tokens = f"{usage.tokens_in:,} tokens in and {usage.tokens_out:,} out"
    return f"{named}; in 24 hours {asked}{failed}{whose}, {tokens}{cost}"
