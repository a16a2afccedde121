"""Regular expressions that are asked only of a text that holds what they can't match without.

Some hundred expressions are asked of each line, and nearly none holds. Whether one of a few literals occurs in a text
is told ten times as fast as whether an expression does; where a literal must, and doesn't, the expression needn't be
asked. A test compares both ways on all known lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

#: What reads expressions; typed nowhere.
constants: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

#: A shorter literal is in nearly every line; more of them are no faster than the expression.
_SHORTEST, _MOST = 3, 24


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression and the literals, in lower case, of which it needs one; None: nothing can be said."""

    pattern: re.Pattern[str]
    needs: tuple[str, ...] | None

    def search(self, text: str) -> re.Match[str] | None:
        """As re.Pattern.search."""
        # Beyond ASCII, what ignoring case means is not what lower() does.
        if self.needs is not None and text.isascii():
            low = _lower(text)
            for one in self.needs:
                if one in low:
                    break
            else:
                return None
        return self.pattern.search(text)


@lru_cache(maxsize=4096)
def expression(text: str, flags: int = 0) -> Expression:
    """The expression, compiled. Raises re.error."""
    pattern = re.compile(text, flags)
    return Expression(pattern, _needs(parser.parse(text, pattern.flags & ~re.UNICODE)))


@lru_cache(maxsize=64)
def _lower(text: str) -> str:
    return text.lower()


def _needs(parts: Iterable[Any]) -> tuple[str, ...] | None:
    """The best set of literals of which a sequence of parts needs one: few first, then long."""
    found: list[tuple[str, ...]] = []
    run = ""
    for kind, value in parts:
        if kind is constants.LITERAL:
            run += chr(value)
            continue
        found += _worth(run)
        run = ""
        inner = _of_part(kind, value)
        if inner is not None:
            found.append(inner)
    found += _worth(run)
    return min(found, key=_cost, default=None)


def _worth(run: str) -> Sequence[tuple[str, ...]]:
    return [(run.lower(),)] if len(run) >= _SHORTEST and run.isascii() else []


def _cost(literals: tuple[str, ...]) -> tuple[int, int]:
    return len(literals), -min(map(len, literals))


def _of_part(kind: Any, value: Any) -> tuple[str, ...] | None:
    if kind is constants.SUBPATTERN:
        return _needs(value[3])
    if kind is constants.ATOMIC_GROUP:
        return _needs(value)
    if kind is constants.ASSERT:
        return _needs(value[1])
    if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT):
        return _needs(value[2]) if value[0] > 0 else None
    if kind is constants.BRANCH:
        branches = [_needs(branch) for branch in value[1]]
        if any(branch is None for branch in branches):
            return None
        union = tuple(dict.fromkeys(one for branch in branches if branch for one in branch))
        return union if len(union) <= _MOST else None
    return None
