"""One host's variables, read with types: a bad value is an error with host, variable and what is accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from orchestrator.domain.hosts import Secret
from orchestrator.errors import InventoryError

#: As Ansible's own `boolean` filter has them.
_TRUE = ("y", "yes", "on", "1", "true", "t")
_FALSE = ("n", "no", "off", "0", "false", "f")

_TEMPLATE = re.compile(r"\{\{.*\}\}|\{%.*%\}", re.DOTALL)
_VAULT = "$ANSIBLE_VAULT"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Variables:
    """The resolved `healing_*` and `ansible_*` variables of one host, as plain JSON data.

    A value that is still a template or vault text, anywhere inside it, is refused at once.
    """

    def __init__(self, host: str, values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> None:
        """`origins`: where each was set, for whoever has to mend it."""
        self.host = host
        self.values = values
        self._origins = origins or {}
        for name in values:
            self._refuse_unresolved(name, values[name])

    def wrong(self, name: str, why: str) -> NoReturn:
        """Raise InventoryError: host, variable, why, where it was set; never the value of a secret."""
        place = f" It is set in {self._origins[name]}." if name in self._origins else ""
        raise InventoryError(f"{self.host}: {name} {why}{'' if why.endswith('?') else '.'}{place}")

    def has(self, name: str) -> bool:
        """Whether it is set; `ansible_host:` with nothing behind it is set, and wrong."""
        return name in self.values

    def last(self, names: Iterable[str]) -> str | None:
        """The name that counts where several mean the same: Ansible takes the last that has a value."""
        given = [name for name in names if self.has(name)]
        filled = [name for name in given if self.values[name] is not None]
        return (filled or given)[-1] if given else None

    def text(self, name: str, accepted: str) -> str:
        """A string that is not empty and holds no control character; a bare number counts as its digits."""
        value = self.values[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            self.wrong(name, f"is {shown(value)}; accepted: {accepted}")
        if _CONTROL.search(value):
            self.wrong(name, f"holds a control character; accepted: {accepted}")
        return value

    def secret(self, name: str) -> Secret:
        """Like text, but it may hold anything, and the error never shows it."""
        value = self.values[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value:
            self.wrong(name, "has no usable value; accepted: a string that is not empty (its value is not shown)")
        return Secret(value)

    def flag(self, name: str) -> bool:
        """A boolean in any of Ansible's spellings."""
        value = self.values[name]
        word = str(value).strip().lower() if isinstance(value, str | int) else ""
        if value is True or word in _TRUE:
            return True
        if value is False or word in _FALSE:
            return False
        self.wrong(name, f"is {shown(value)}; accepted: true or false (yes, no, on, off, 1, 0)")

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self.values[name]
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            self.wrong(name, f"is {shown(value)}; accepted: a whole number from {low} to {high}")
        return value

    def seconds(self, name: str, low: float, high: float) -> float:
        """A number of seconds from low to high."""
        value = self.values[name]
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value.strip(), re.ASCII):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.wrong(name, f"is {shown(value)}; accepted: seconds, a number from {low:g} to {high:g}")
        if not low <= value <= high:
            self.wrong(name, f"is {shown(value)}; accepted: seconds, a number from {low:g} to {high:g}")
        return float(value)

    def strings(self, name: str, accepted: str) -> tuple[str, ...]:
        """A list of strings, or one string with commas between them; may be empty, each entry not."""
        value = self.values[name]
        if isinstance(value, str) and value.strip():
            value = value.split(",")
        if not isinstance(value, list):
            self.wrong(name, f"is {shown(value)}; accepted: {accepted}")
        entries = []
        for entry in value:
            if not isinstance(entry, str) or not entry.strip() or _CONTROL.search(entry):
                self.wrong(name, f"holds {shown(entry)}; accepted: {accepted}")
            entries.append(entry.strip())
        return tuple(entries)

    def _refuse_unresolved(self, name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self._refuse_unresolved(name, key)
                self._refuse_unresolved(name, inner)
        elif isinstance(value, list):
            for inner in value:
                self._refuse_unresolved(name, inner)
        elif isinstance(value, str) and value.lstrip().startswith(_VAULT):
            self.wrong(name, "is still vault text: it was not decrypted (is it tagged !vault, not just pasted?)")
        elif isinstance(value, str) and _TEMPLATE.search(value):
            self.wrong(name, "stays a template after Ansible resolved it (!unsafe, or from an untrusted source)")


def shown(value: Any) -> str:
    """A value as an error may show it: no secret's."""
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
