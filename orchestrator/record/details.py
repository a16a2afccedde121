"""What one task was given, changed and printed, for who reviews a run: from the result that Ansible recorded. Pure.

Whatever `no_log` hides is not in a result. A host may write what it likes into one: everything is text, and bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Any

#: Characters of one argument, of one task's output, and of its differences; items of a loop that are looked at.
ARGUMENT, OUTPUT, DIFFERENCE, ITEMS = 500, 4000, 16_000, 50
#: Lines of either side that are compared; more would take long.
COMPARED = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """Of one task on one host; empty where there is nothing."""

    #: What the module was called with, defaults that say nothing left out.
    arguments: tuple[tuple[str, str], ...] = ()
    #: As `diff -u` prints it.
    difference: str = ""
    #: What the command printed, standard output first.
    output: str = ""

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.difference) + len(self.output) + sum(len(name) + len(value) for name, value in self.arguments)


def details(result: Mapping[str, Any]) -> Details:
    """Of a loop, with every item's."""
    parts = list(islice(_parts(result), ITEMS))
    arguments = next((found for one in parts if (found := _arguments(one))), ())
    return Details(
        arguments=arguments,
        difference="\n".join(text for one in parts if (text := _differences(one)))[:DIFFERENCE],
        output="\n".join(text for one in parts if (text := _printed(one)))[:OUTPUT],
    )


def _parts(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield result
    items = result.get("results")
    yield from (one for one in (items if isinstance(items, list) else ()) if isinstance(one, dict))


def _arguments(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    invocation = result.get("invocation")
    given = invocation.get("module_args") if isinstance(invocation, dict) else None
    if not isinstance(given, dict):
        return ()
    said = ((str(name), value) for name, value in given.items() if value is not None and not str(name).startswith("_"))
    return tuple((name, _text(value)[:ARGUMENT]) for name, value in said)


def _differences(result: Mapping[str, Any]) -> str:
    given = result.get("diff")
    found = given if isinstance(given, list) else [given]
    return "\n".join(text for one in found if isinstance(one, dict) and (text := _difference(one)))


def _difference(one: Mapping[str, Any]) -> str:
    if one.get("prepared"):
        return str(one["prepared"])
    before, after = _text(one.get("before", "")), _text(one.get("after", ""))
    if before == after:
        return ""
    old, new = (str(one.get(f"{side}_header") or side) for side in ("before", "after"))
    left, right = before.splitlines(), after.splitlines()
    if max(len(left), len(right)) > COMPARED:
        return f"--- {old}\n+++ {new}\n@@ too long to compare: {len(left)} lines before, {len(right)} after @@"
    return "\n".join(unified_diff(left, right, old, new, lineterm=""))


def _printed(result: Mapping[str, Any]) -> str:
    return "\n".join(text for name in ("stdout", "stderr") if (text := str(result.get(name) or "").strip("\n")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, default=str)
