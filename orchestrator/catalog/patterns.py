"""The embedded chooser's patterns of an action: spelled out, compiled, and tried on their own examples."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from orchestrator.catalog.rows import ActionRow, PatternRow
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
        vocabulary[name] = _with_parts(file, f"{name} of vocabulary", part, vocabulary)
    patterns = tuple(
        _pattern(file, number, one, vocabulary, parameters) for number, one in enumerate(row.patterns, start=1)
    )
    _try(file, patterns, row.counter_examples)
    return patterns


def _with_parts(file: Path, where: str, text: str, vocabulary: Mapping[str, str]) -> str:
    missing = [name for name in _PART.findall(text) if name not in vocabulary]
    if missing:
        raise CatalogError(f"{file}: {where} uses %{{{missing[0]}}}, which vocabulary doesn't define above it; add it.")
    return _PART.sub(lambda match: f"(?:{vocabulary[match[1]]})", text)


def _pattern(
    file: Path, number: int, row: PatternRow, vocabulary: Mapping[str, str], parameters: Collection[str]
) -> Pattern:
    match = _with_parts(file, f"match of pattern {number}", row.match, vocabulary)
    unless = row.unless and _with_parts(file, f"unless of pattern {number}", row.unless, vocabulary)
    for key, text in (("match", match), ("unless", unless)):
        if text is None:
            continue
        try:
            groups = re.compile(text, re.IGNORECASE).groupindex
        except re.error as error:
            raise CatalogError(f"{file}: {key} of pattern {number} does not compile ({error}); correct it.") from error
        stray = sorted(set(groups) - set(parameters if key == "match" else ()))
        if stray:
            which = f"a parameter of the action ({', '.join(sorted(parameters)) or 'it has none'})"
            what = f"no such is {which}" if key == "match" else "`unless` fills nothing"
            raise CatalogError(f"{file}: {key} of pattern {number} captures {stray[0]}, and {what}; correct the group.")
    stray = sorted(set(row.values) - set(parameters))
    if stray:
        raise CatalogError(f"{file}: values of pattern {number} names {stray[0]}, which is no parameter; correct it.")
    return Pattern(
        match=match,
        unless=unless,
        values={name: tuple(ones) for name, ones in row.values.items()},
        severity=Severity[row.severity.upper()],
        examples=tuple(row.examples),
    )


def _try(file: Path, patterns: Sequence[Pattern], counter_examples: Sequence[str]) -> None:
    """Raises CatalogError where a pattern does not hold for its own example, or one holds for a counter-example."""
    for number, pattern in enumerate(patterns, start=1):
        for line in pattern.examples:
            if not pattern.holds(own_words(line)):
                raise CatalogError(
                    f"{file}: pattern {number} does not hold for its example {line[:120]!r}; correct one of them."
                )
        for line in counter_examples:
            if pattern.holds(own_words(line)):
                raise CatalogError(
                    f"{file}: pattern {number} holds for the counter-example {line[:120]!r}; correct one of them."
                )
