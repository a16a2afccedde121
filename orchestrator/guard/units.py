"""Which units are never touched, and which can't be."""

from __future__ import annotations

from fnmatch import fnmatchcase

from orchestrator.domain.actions import ParameterSource
from orchestrator.domain.verdicts import UnitFacts
from orchestrator.guard.protected import ONLY_THROUGH, PROTECTED, PROTECTED_KINDS, VITAL_TARGETS
from orchestrator.guard.question import Question
from orchestrator.guard.rule import on_host
from orchestrator.guard.shapes import full_unit, values_of


def stem(unit: str) -> str:
    """A unit's name without suffix and instance, lower case: `ssh@1.socket` -> `ssh`."""
    return full_unit(unit).rpartition(".")[0].split("@", 1)[0].casefold()


def _built_in(unit: str) -> bool:
    return any(fnmatchcase(stem(unit), pattern) for pattern in PROTECTED)


def _of_host(unit: str, question: Question) -> bool:
    """Whether `healing_protected_services` names it, in full or by stem; shell patterns are allowed there."""
    names = (unit.casefold(), full_unit(unit).casefold(), stem(unit))
    entries = question.host.policy.protected_services if question.host else ()
    patterns = {pattern for entry in entries for pattern in (entry.casefold(), stem(entry)) if pattern}
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def facts_of(question: Question, value: str) -> UnitFacts | None:
    """What inspect found of a unit, under the name that was asked for."""
    units = question.facts.units if question.facts else {}
    return units.get(value) or units.get(full_unit(value))


def _names(value: str, facts: UnitFacts | None) -> tuple[str, ...]:
    names = (value, facts.asked, facts.id, *facts.names) if facts else (value,)
    return tuple(dict.fromkeys(name for name in names if name))


def _excepted(value: str, facts: UnitFacts | None, question: Question) -> bool:
    """Whether the unit, as named and as resolved, is the one that this very action exists for."""
    own = (value, facts.id) if facts else (value,)
    return all(ONLY_THROUGH.get(stem(name)) == question.decision.action for name in own)


def protected_unit(question: Question) -> str | None:
    """No name of the unit, resolved Id included, is protected; approval can't lift it."""
    for value in values_of(question, ParameterSource.UNIT):
        facts = facts_of(question, value)
        for name in _names(value, facts):
            known_as = value if stem(name) == stem(value) else f"{value} (which is {name})"
            if _of_host(name, question):
                return f"{known_as} is protected{on_host(question)} by healing_protected_services."
            if full_unit(name).endswith(PROTECTED_KINDS):
                return f"{known_as} is no single service{on_host(question)}, so it is never touched."
            if _built_in(name) and not _excepted(value, facts, question):
                through = ONLY_THROUGH.get(stem(name))
                way = f"only {through} may touch it" if through else "approval can't lift that"
                return f"{known_as} is always protected{on_host(question)}; {way}."
    return None


def protected_dependency(question: Question) -> str | None:
    """No protected unit requires this one: it would stop with it."""
    for value in values_of(question, ParameterSource.UNIT):
        facts = facts_of(question, value)
        for dependant in facts.required_by if facts else ():
            if dependant in VITAL_TARGETS or _built_in(dependant) or _of_host(dependant, question):
                return (
                    f"{value} can't be touched{on_host(question)}: {dependant} is protected, requires it, "
                    "and would stop with it."
                )
    return None


def unit_state(question: Question) -> str | None:
    """systemd has the unit loaded, and lets a person start it."""
    for value in values_of(question, ParameterSource.UNIT):
        facts = facts_of(question, value)
        if facts is None:
            continue
        if facts.load_state != "loaded":
            return (
                f"systemd{on_host(question)} says that {value} is {facts.load_state or 'of no known state'}, "
                "not loaded: there is nothing that a run could mend."
            )
        if facts.refuse_manual_start:
            return f"{value} refuses to be started by hand{on_host(question)} (RefuseManualStart=)."
    return None
