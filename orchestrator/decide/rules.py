"""The embedded chooser's knowledge of logs, read from the tables in knowledge/.

A rule says of a line's own words what a careful operator would: a person must look, or nothing is wrong.
Which action helps is no rule of this kind: that is the catalogue's patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchestrator.domain.expressions import Expression, expression

_FOLDER = Path(__file__).with_name("knowledge")


class Says(StrEnum):
    """What a rule says of a line."""

    #: Somebody tries to give orders or to forge evidence: nothing acts, a person is told.
    ATTACK = "attack"
    #: Known and harmless, whatever its level.
    HARMLESS = "harmless"
    #: A cause that no restart or cleaning cures.
    PERSON = "person"


class Amid(StrEnum):
    """Kinds of lines that hold everybody's words as a matter of course."""

    REQUEST = "request"
    #: What a program itself calls information, as far as it quotes.
    INFORMATION = "information"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One row: any of the expressions, in lower case, searched in the line's lower-cased own words."""

    says: Says
    #: A sentence for the person who reads the decision.
    reason: str
    any: tuple[Expression, ...]
    unless: Expression | None
    #: Only for records of these units; None: all.
    units: re.Pattern[str] | None
    #: Asked only of what no action's pattern fits.
    otherwise: bool = False
    #: What a program was busy with, not why it failed: a root cause in the same line says more.
    busy_with: bool = False
    #: Says so little that whatever another line of the incident tells counts more.
    alone: bool = False
    #: Where an attack is a stranger's words and no more.
    noise_amid: frozenset[Amid] = frozenset()

    def holds(self, words: str, unit: str) -> bool:
        """Whether the rule speaks of these words of this unit; both in lower case."""
        if self.units is not None and not self.units.fullmatch(unit):
            return False
        if not any(one.search(words) for one in self.any):
            return False
        return self.unless is None or not self.unless.search(words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """All tables, compiled."""

    #: Against the whole message, strangers' words included.
    attacks: tuple[Rule, ...]
    #: Against own words, in the order in which they are asked: known noise, then causes for a person.
    rules: tuple[Rule, ...]
    #: What makes a line a problem although it is tagged as information.
    trouble: tuple[Expression, ...]
    #: What makes a warning that no rule knows a problem, besides.
    unable: tuple[Expression, ...]
    #: Units that nothing here restarts, by name without suffix.
    protected: re.Pattern[str]
    #: Those of them by which people and programs get in: they are not even told to read their files again.
    doors: re.Pattern[str]
    #: Units that run a job and end; a restart only runs the job again.
    jobs: re.Pattern[str]
    #: Unit names that belong to malware.
    suspicious: re.Pattern[str]
    #: Paths whose mode or owner decides who may log in or read secrets, and folders that all share.
    sensitive: re.Pattern[str]
    #: PID 1's wording of what became of a unit: an effect, whose cause another line may tell.
    effects: tuple[Expression, ...]
    #: errno and its kin: why something failed, whatever it was busy with.
    roots: re.Pattern[str]
    #: What no known noise explains away.
    serious: re.Pattern[str]

    def first(self, words: str, unit: str) -> Rule | None:
        """The first rule that holds of a line's own words."""
        asked = (rule for rule in self._asked(words) if not rule.otherwise and rule.holds(words, unit))
        found = next(asked, None)
        if found is None or not found.busy_with or not self.roots.search(words):
            return found
        return next((rule for rule in asked if not rule.busy_with), None)

    def otherwise(self, words: str, unit: str) -> Rule | None:
        """The first rule for lines that no action's pattern fits."""
        return next((rule for rule in self._asked(words) if rule.otherwise and rule.holds(words, unit)), None)

    def _asked(self, words: str) -> Iterator[Rule]:
        serious = self.serious.search(words)
        return (rule for rule in self.rules if not serious or rule.says is not Says.HARMLESS)

    def attack(self, message: str, unit: str) -> Rule | None:
        """The first rule that finds an attack in a whole message."""
        return next((rule for rule in self.attacks if rule.holds(message, unit)), None)

    def troubles(self, words: str) -> bool:
        """Whether a line that its own program calls information tells of trouble all the same."""
        return any(one.search(words) for one in self.trouble)

    def fails(self, words: str) -> bool:
        """Whether a warning says of something that it failed, or can't go on."""
        return self.troubles(words) or any(one.search(words) for one in self.unable)

    def is_effect(self, words: str) -> bool:
        """Whether PID 1 tells what became of a unit, not why."""
        return any(one.search(words) for one in self.effects)


def _rules(table: Sequence[dict[str, Any]], says: Says) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            says=says,
            reason=row["reason"],
            any=tuple(expression(one) for one in row["any"]),
            unless=expression(row["unless"]) if "unless" in row else None,
            units=re.compile(row["units"]) if "units" in row else None,
            otherwise=row.get("otherwise", False),
            busy_with=row.get("busy_with", False),
            alone=row.get("alone", False),
            noise_amid=frozenset(Amid(one) for one in row.get("noise_amid", ())),
        )
        for row in table
    )


def _alternatives(rows: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{row})" for row in rows))


def _read(name: str) -> Any:
    return yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))


@cache
def knowledge() -> Knowledge:
    """The tables of this package, read once."""
    names = _read("names.yml")
    return Knowledge(
        attacks=_rules(_read("attacks.yml"), Says.ATTACK),
        rules=(
            *_rules(_read("harmless.yml"), Says.HARMLESS),
            *_rules(_read("person.yml"), Says.PERSON),
        ),
        trouble=tuple(expression(one) for one in names["trouble"]),
        unable=tuple(expression(one) for one in names["unable"]),
        protected=_alternatives(names["protected"]),
        doors=_alternatives(names["doors"]),
        jobs=_alternatives(names["jobs"]),
        suspicious=_alternatives(names["suspicious"]),
        sensitive=_alternatives(names["sensitive"]),
        effects=tuple(expression(one) for one in names["effects"]),
        roots=_alternatives(names["roots"]),
        serious=_alternatives(names["serious"]),
    )
