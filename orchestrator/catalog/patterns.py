"""The embedded chooser's patterns of an action: spelled out, compiled, and tried on their own examples."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from orchestrator.catalog.backtracking import explosive, steep, unbounded
from orchestrator.catalog.rows import ActionRow, PatternRow, place
from orchestrator.domain.actions import Pattern
from orchestrator.domain.records import Severity
from orchestrator.domain.speech import own_words
from orchestrator.errors import CatalogError

#: A named part of an expression.
_PART = re.compile(r"%\{(\w+)\}")


def spelled_out(file: Path, row: ActionRow, parameters: Collection[str]) -> tuple[Pattern, ...]:
    """The patterns of an action.yml with these parameters. Raises CatalogError."""
    vocabulary: dict[str, str] = {}
    for name, part in row.vocabulary.items():
        vocabulary[name] = _with_parts(file, ("vocabulary", name), f"{name} of vocabulary", part, vocabulary)
    patterns = tuple(
        _pattern(file, number, one, vocabulary, parameters) for number, one in enumerate(row.patterns, start=1)
    )
    _try(file, patterns, row.counter_examples)
    return patterns


def _refusal(file: Path, at: Sequence[int | str], said: str) -> CatalogError:
    return CatalogError(f"{place(file, *at)}: {said}")


def _with_parts(file: Path, at: Sequence[int | str], what: str, text: str, vocabulary: Mapping[str, str]) -> str:
    missing = [name for name in _PART.findall(text) if name not in vocabulary]
    if missing:
        raise _refusal(file, at, f"{what} uses %{{{missing[0]}}}, which vocabulary doesn't define above it; add it.")
    return _PART.sub(lambda match: f"(?:{vocabulary[match[1]]})", text)


def _pattern(
    file: Path, number: int, row: PatternRow, vocabulary: Mapping[str, str], parameters: Collection[str]
) -> Pattern:
    entry = ("patterns", number - 1)
    texts = {"match": row.match} | ({"unless": row.unless} if row.unless else {})
    spelled: dict[str, str] = {}
    for key, text in texts.items():
        what = f"{key} of pattern {number}"
        spelled[key] = _with_parts(file, (*entry, key), what, text, vocabulary)
        groups = _compile(file, (*entry, key), what, spelled[key]).groupindex
        stray = sorted(set(groups) - set(parameters if key == "match" else ()))
        if stray:
            which = f"a parameter of the action ({', '.join(sorted(parameters)) or 'it has none'})"
            why = f"no such is {which}" if key == "match" else "`unless` fills nothing"
            raise _refusal(file, (*entry, key), f"{what} captures {stray[0]}, and {why}; correct the group.")
    stray = sorted(set(row.values) - set(parameters))
    if stray:
        said = f"values of pattern {number} names {stray[0]}, which is no parameter; correct it."
        raise _refusal(file, (*entry, "values"), said)
    return Pattern(
        match=spelled["match"],
        unless=spelled.get("unless"),
        values={name: tuple(ones) for name, ones in row.values.items()},
        severity=Severity[row.severity.upper()],
        examples=tuple(row.examples),
    )


def _compile(file: Path, at: Sequence[int | str], what: str, text: str) -> re.Pattern[str]:
    """The expression. Raises CatalogError where it is none, or a stranger's line could hold it up."""
    try:
        return _tried(text)
    except ValueError as error:
        raise _refusal(file, at, f"{what} {error}") from error


# What passed is not tried again: each answer to an approval reads the catalogue, and trying all takes a while.
@lru_cache(maxsize=1024)
def _tried(text: str) -> re.Pattern[str]:
    """The expression, once no line that a stranger writes can hold it up. Raises ValueError, in words for a person."""
    try:
        expression = re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"does not compile ({error}); correct it.") from error
    if unbounded(expression):
        raise ValueError(
            "repeats something without an upper bound (`*`, `+` or `{n,}`), and a hostile line could hold everything "
            "up; say how often at most, such as `{1,200}`, or begin the expression with `^`."
        )
    if slow := explosive(expression):
        raise ValueError(
            f"backtracks without bound: a line like {slow[:40]!r} takes twice as long with every few characters more; "
            "let each turn of what it repeats be read in one way only."
        )
    if slow := steep(expression):
        raise ValueError(
            f"backtracks too long: {len(slow)} characters like {slow[:40]!r} hold it up, and longer ones by a power of "
            "their length; let parts that follow each other not read the same text, or lower their bounds."
        )
    return expression


def _try(file: Path, patterns: Sequence[Pattern], counter_examples: Sequence[str]) -> None:
    """Raises CatalogError where a pattern does not hold for its own example, or one holds for a counter-example."""
    for number, pattern in enumerate(patterns, start=1):
        at = ("patterns", number - 1)
        for line in pattern.examples:
            if not pattern.holds(own_words(line)):
                said = f"pattern {number} does not hold for its example {line[:120]!r}; correct one of them."
                raise _refusal(file, at, said)
        for line in counter_examples:
            if pattern.holds(own_words(line)):
                said = f"pattern {number} holds for the counter-example {line[:120]!r}; correct one of them."
                raise _refusal(file, at, said)
