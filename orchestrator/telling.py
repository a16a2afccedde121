"""Wires settings to where people are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

from orchestrator.domain.notices import Channel, Outcome, Told
from orchestrator.errors import ConfigError
from orchestrator.notify.sending import Sender
from orchestrator.notify.teller import Teller, Tellers
from orchestrator.notify.wording import Wording
from orchestrator.ports import Check, Fleet, Store
from orchestrator.settings import HOME, Settings

log = logging.getLogger("healing.notify")


def notifier(loaded: Settings, store: Store, fleet: Fleet, ended: Callable[[], bool]) -> Tellers:
    """The log, and a teller for each channel. Raises ConfigError for a channel that could never be told.

    What is not found out in time, on a busy machine, is no reason to heal nothing: whoever is told later says so.
    """
    sender = _sender(loaded, ended)
    for channel, outcome in zip(loaded.notify, sender.understood(loaded.notify), strict=True):
        if outcome.unsure:
            log.warning("[[notify]] %s: not checked: %s It is tried as it stands.", channel.name, outcome.problem)
        elif not outcome.ok:
            key = "url_env" if channel.url_env else "url"
            raise ConfigError(f"[[notify]] {channel.name}: {key}: {outcome.problem} Nothing was started.")
    wording = _wording(loaded)
    return Tellers(
        tuple(
            Teller(channel, store, fleet, sender, wording, now=lambda: datetime.now(UTC), clock=time.monotonic)
            for channel in loaded.notify
        )
    )


def chosen(loaded: Settings, name: str) -> tuple[Channel, ...]:
    """All channels, or the one of that name. Raises ConfigError where there is none."""
    if not loaded.notify:
        raise ConfigError("No channel is configured: healer.toml has no [[notify]]. docs/notifications.md shows how.")
    found = tuple(channel for channel in loaded.notify if name in ("", channel.name))
    if not found:
        names = [channel.name for channel in loaded.notify]
        near = get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
        raise ConfigError(f"There is no channel {name[:80]!r}. {hint}")
    return found


def try_out(loaded: Settings, channels: Sequence[Channel], actor: str) -> Iterator[tuple[Channel, Outcome]]:
    """Send each of them a test message; how each went, as it becomes known."""
    send, wording = _sender(loaded), _wording(loaded)
    for channel in channels:
        yield channel, send(channel, wording.test(channel.name, actor))


def checks(loaded: Settings, told: Callable[[str], Told | None]) -> Iterator[Check]:
    """A line of `healer doctor` for each channel; nothing is sent."""
    if not loaded.notify:
        yield Check(
            name="notify",
            ok=None,
            text="nobody is told but the log: no [[notify]] in healer.toml",
            fix="docs/notifications.md",
        )
        return
    for channel, outcome in zip(loaded.notify, _sender(loaded).understood(loaded.notify), strict=True):
        known = told(channel.name)
        name, about = f"notify {channel.name}", f"{channel.service}: {', '.join(sorted(channel.events))}"
        if not outcome.ok:
            yield Check(name=name, ok=None if outcome.unsure else False, text=outcome.problem)
        elif known is not None and known.problem:
            text = f"{about}; the last message could not be told: {known.problem}"
            yield Check(name=name, ok=False, text=text, fix=f"healer notify test {channel.name}")
        else:
            yield Check(name=name, ok=True, text=f"{about}; {_count(known)}")
    in_file = [channel.name for channel in loaded.notify if not channel.url_env]
    if in_file and loaded.config_file and loaded.config_file.stat().st_mode & 0o077:
        text = f"{loaded.config_file} can be read by others and holds the URL of {', '.join(in_file)}"
        yield Check(name="notify", ok=False, text=text, fix=f"chmod 600 {loaded.config_file}, or url_env")
    if not loaded.api_url:
        yield Check(name="notify", ok=None, text=f"links lead to {page(loaded)}: set api_url to what people can reach")


def page(loaded: Settings) -> str:
    """The URL under which people reach the API and its pages."""
    scheme = "https" if loaded.tls_files else "http"
    host = f"[{loaded.api_host}]" if ":" in loaded.api_host else loaded.api_host
    return (loaded.api_url or f"{scheme}://{host}:{loaded.api_port}").rstrip("/")


def _sender(loaded: Settings, ended: Callable[[], bool] = lambda: False) -> Sender:
    return Sender({**loaded.notify_environment, "PYTHONPATH": str(HOME)}, ended)


def _wording(loaded: Settings) -> Wording:
    from orchestrator.decide.redact import redact  # many patterns are compiled there, and few commands tell people

    return Wording(page(loaded), redact)


def _count(told: Told | None) -> str:
    if told is None or not told.messages:
        return "nothing was told yet"
    failed = f", {told.failures} tries failed" if told.failures else ""
    return f"{told.messages} messages so far{failed}"
