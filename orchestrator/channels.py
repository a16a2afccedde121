"""The `[[notify]]` tables of the config file: who is told of what. Pure: settings.py reads file and environment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from orchestrator.domain.hosts import Secret
from orchestrator.domain.notices import Channel, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.domain.windows import ACCEPTED, Window, read_window
from orchestrator.errors import ConfigError

#: Each key of a table, and its sentence; docs/notifications.md has them as they stand here.
KEYS = {
    "name": "Short name, for `healer notify` and the log: lower-case letters, digits, '-' and '_'. Required.",
    "url": "Apprise's URL of the service. It holds a key: better in the environment.",
    "url_env": "Name of the environment variable that holds the URL instead.",
    "events": "What is told: any of store, approval, stopped, escalated, lapsed, answered, healed.",
    "severity": "The mildest incident that is told: DEBUG, INFO, WARNING, ERROR or CRITICAL.",
    "groups": "Inventory groups whose hosts are told of; empty: all hosts.",
    "per_hour": "Messages an hour at most, from 2; a quarter of them is kept for approvals, stops and the store.",
    "quiet_hours": "Windows as in `healing_windows`; told in them: approvals, stops, the store, and `quiet_severity`.",
    "quiet_severity": "The mildest incident that is told in quiet hours; what waited is told together afterwards.",
    "window_seconds": "How long notices of a kind are gathered into one message; approvals wait 5 s at most.",
}
EVENTS = ", ".join(NoticeKind)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,31}://\S+", re.ASCII | re.IGNORECASE)


def read(given: object, environ: Mapping[str, str], file: object) -> tuple[Channel, ...]:
    """The channels of the config file's key `notify`. Raises ConfigError that names the file, the table and the key.

    What a URL holds is never shown. A variable of the environment that is not set is no error here: other commands
    than those that tell people have no use for it.
    """
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in given):
        raise ConfigError(f"{file}: notify takes tables: [[notify]], and below it name, url or url_env, events ...")
    channels = tuple(_Table(file, number, table).channel(environ) for number, table in enumerate(given, 1))
    names = [channel.name for channel in channels]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{file}: two [[notify]] tables have the name {name!r}. Each has its own.")
    return channels


class _Table:
    """One of them."""

    def __init__(self, file: object, number: int, table: Mapping[str, Any]) -> None:
        self._file, self._number, self._table = file, number, table

    def channel(self, environ: Mapping[str, str]) -> Channel:
        """Checked whole."""
        for key in self._table:
            if key not in KEYS:
                near = get_close_matches(key, KEYS, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(KEYS)}."
                self._wrong(f"there is no key {key!r}. {hint}")
        name = self._table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._wrong("name takes 1 to 32 lower-case letters, digits, '-' and '_', a letter or digit first.")
        defaults = Channel(name=name, url=None)
        return Channel(
            name=name,
            url=self._url(environ),
            url_env=self._table.get("url_env", ""),
            events=self._events() or defaults.events,
            severity=self._severity(defaults.severity),
            groups=frozenset(self._strings("groups")),
            quiet=self._windows(),
            quiet_severity=self._severity(defaults.quiet_severity, "quiet_severity"),
            per_hour=int(self._number_of("per_hour", defaults.per_hour, 2, 3600, whole=True)),
            window_seconds=self._number_of("window_seconds", defaults.window_seconds, 0, 3600),
        )

    def _url(self, environ: Mapping[str, str]) -> Secret | None:
        variable, url = self._table.get("url_env"), self._table.get("url")
        if (variable is None) == (url is None):
            self._wrong("it takes either url or url_env.")
        if variable is not None:
            if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
                self._wrong("url_env takes the name of an environment variable.")
            url = environ.get(variable)
            if not url:
                return None
        if not isinstance(url, str) or not _URL.fullmatch(url.strip()):
            origin = f"the variable {variable} holds none" if variable else "this is none (it is not shown)"
            self._wrong(f"the URL must look like service://...; {origin}. docs/notifications.md has examples.")
        return Secret(url.strip())

    def _events(self) -> frozenset[NoticeKind]:
        words = self._strings("events")
        for word in words:
            if word not in set(NoticeKind):
                self._wrong(f"events holds {word!r}; accepted: {EVENTS}.")
        if "events" in self._table and not words:
            self._wrong(f"events is empty, so nothing would be told; accepted: {EVENTS}.")
        return frozenset(NoticeKind(word) for word in words)

    def _windows(self) -> tuple[Window, ...]:
        try:
            return tuple(read_window(text) for text in self._strings("quiet_hours"))
        except ValueError as error:
            self._wrong(f"quiet_hours {error}; accepted: {ACCEPTED}.")

    def _severity(self, default: Severity, key: str = "severity") -> Severity:
        word = self._table.get(key, default.name)
        if not isinstance(word, str) or word not in Severity.__members__:
            self._wrong(f"{key} is {word!r}; accepted: {', '.join(Severity.__members__)}.")
        return Severity[word]

    def _strings(self, key: str) -> list[str]:
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            self._wrong(f"{key} takes a list of strings.")
        return value

    def _number_of(self, key: str, default: float, least: float, most: float, *, whole: bool = False) -> float:
        value = self._table.get(key, default)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            self._wrong(f"{key} takes a {'whole ' if whole else ''}number.")
        if not least <= value <= most:
            self._wrong(f"{key} takes a number from {least:g} to {most:g}, got {value:g}.")
        return float(value)

    def _wrong(self, sentence: str) -> NoReturn:
        name = self._table.get("name")
        named = f" ({name})" if isinstance(name, str) and _NAME.fullmatch(name) else ""
        raise ConfigError(f"{self._file}: [[notify]] table {self._number}{named}: {sentence}")
