"""A file of labelled log lines: read whole, or refused with the line and field that is wrong.

One JSON object a line: `id`, `class`, `unit`, `message`, `priority` (0 to 7), `label` {action, params}, `acceptable`
and `must_not` (lists of the same form; empty params mean any), and optionally `params_alt` (other right parameters).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.actions import ESCALATE, NONE
from orchestrator.domain.strict import unique_keys
from orchestrator.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An answer that somebody labelled."""

    action: str
    #: Empty: any.
    params: Mapping[str, str]

    def fits(self, action: str, params: Mapping[str, str]) -> bool:
        """Whether that answer is this one."""
        return action == self.action and (not self.params or dict(params) == dict(self.params))


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledCase:
    """One line and what a careful operator would answer."""

    id: str
    group: str
    unit: str
    message: str
    priority: int
    #: All that are right, the label first.
    right: tuple[Wanted, ...]
    acceptable: tuple[Wanted, ...]
    must_not: tuple[Wanted, ...]

    @property
    def label(self) -> Wanted:
        """The answer that is wanted most."""
        return self.right[0]

    @property
    def asked(self) -> str:
        """The line as `explain` takes it."""
        return json.dumps({"unit": self.unit, "message": self.message, "priority": self.priority})


def read(path: Path, actions: Collection[str]) -> tuple[LabelledCase, ...]:
    """Every case of the file; `actions` are those of the whitelist. Raises ConfigError: file, line, field, what is
    accepted."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The case file {path} can't be read: {error}.") from error
    reader = _Reader(path, frozenset(actions) | {ESCALATE, NONE})
    cases = tuple(reader.case(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    if not cases:
        raise ConfigError(f"The case file {path} holds no case.")
    return cases


class _Reader:
    def __init__(self, path: Path, actions: frozenset[str]) -> None:
        self._path, self._actions, self._line = path, actions, 0
        self._seen: dict[str, int] = {}

    def case(self, number: int, line: str) -> LabelledCase:
        """Raises ConfigError."""
        self._line = number
        try:
            found = json.loads(line, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise self._wrong("the line", f"is no JSON ({str(error)[:100]}); give one object a line") from None
        if not isinstance(found, dict):
            raise self._wrong("the line", "is JSON but no object")
        case_id = self._text(found, "id")
        if case_id in self._seen:
            raise self._wrong("id", f"{case_id!r} stands in line {self._seen[case_id]} already")
        self._seen[case_id] = number
        priority = found.get("priority")
        if type(priority) is not int or not 0 <= priority <= 7:
            raise self._wrong("priority", f"is {priority!r}; accepted is a number from 0 (emergency) to 7 (debug)")
        label = self._wanted("label", found.get("label"))
        others = [
            Wanted(action=label.action, params=self._params("params_alt", one))
            for one in self._list(found, "params_alt", required=False)
        ]
        return LabelledCase(
            id=case_id,
            group=self._text(found, "class"),
            unit=self._text(found, "unit", empty=True),
            message=self._text(found, "message"),
            priority=priority,
            right=(label, *others),
            acceptable=tuple(self._wanted("acceptable", one) for one in self._list(found, "acceptable")),
            must_not=tuple(self._wanted("must_not", one) for one in self._list(found, "must_not")),
        )

    def _text(self, found: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
        value = found.get(name)
        if not isinstance(value, str) or not (value or empty):
            raise self._wrong(name, "is missing" if value is None else f"is {str(value)[:40]!r}; accepted is text")
        return value

    def _list(self, found: Mapping[str, Any], name: str, *, required: bool = True) -> Sequence[Any]:
        value = found.get(name, None if required else [])
        if not isinstance(value, list):
            raise self._wrong(name, "is missing" if value is None else "is no list")
        return value

    def _wanted(self, name: str, value: Any) -> Wanted:
        if not isinstance(value, dict):
            raise self._wrong(name, "is missing" if value is None else "holds something that is no {action, params}")
        action = value.get("action")
        if action not in self._actions:
            known = ", ".join(sorted(self._actions))
            raise self._wrong(f"{name}.action", f"is {str(action)[:60]!r}; accepted are {known}")
        return Wanted(action=action, params=self._params(f"{name}.params", value.get("params")))

    def _params(self, name: str, value: Any) -> Mapping[str, str]:
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self._wrong(name, "is missing" if value is None else "is no object of texts")
        return value

    def _wrong(self, field: str, said: str) -> ConfigError:
        return ConfigError(f"{self._path}, line {self._line}: {field} {said}. Nothing was tried.")
