"""The embedded chooser: no key, no network, no trained model. Rules that a person can read, in one order.

Each line is read by itself: attack, known noise, cause for a person, an action's pattern, or unknown. Then
the lines of an incident are weighed: an attack beats all; causes beat effects, so that a full disk is not
answered with a restart of what died of it; and where two actions fit, nobody guesses. It abstains by default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from orchestrator.decide.candidates import as_unit, is_service, short_unit
from orchestrator.decide.rules import Amid, Knowledge, Rule, Says, knowledge
from orchestrator.domain.actions import (
    ESCALATE,
    NONE,
    Action,
    Candidate,
    Decision,
    ParameterSource,
    Pattern,
    compiled,
)
from orchestrator.domain.levels import informs, stated
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.speech import LOOKED_AT, body, is_request, own_words, said_path
from orchestrator.ports import Case


class _Weight(IntEnum):
    """What counts more when an incident's lines differ; the heaviest opinion is the decision."""

    QUIET = 0
    HARMLESS = 1
    UNKNOWN = 2
    ACTION_BY_EFFECT = 3
    PERSON_BY_EFFECT = 4
    ACTION_BY_CAUSE = 5
    PERSON_BY_CAUSE = 6
    ATTACK = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opinion:
    weight: _Weight
    action: str
    parameters: Mapping[str, str]
    reason: str


def _escalate(weight: _Weight, reason: str) -> _Opinion:
    return _Opinion(weight=weight, action=ESCALATE, parameters={}, reason=reason)


def _quiet(weight: _Weight, reason: str) -> _Opinion:
    return _Opinion(weight=weight, action=NONE, parameters={}, reason=reason)


class EmbeddedChooser:
    """Picks by the catalogue's patterns and the tables in knowledge/; explains itself in one sentence."""

    name = "embedded"

    def __init__(self, known: Knowledge | None = None) -> None:
        """`known`: other tables than those of knowledge/, to see what they are worth."""
        self._known = known or knowledge()

    def choose(self, case: Case) -> Decision:
        """One of the candidates with offered values, `escalate`, or `none`. Never raises."""
        opinions = [_read(record, case, self._known) for record in case.records]
        chosen = _weigh(opinions)
        return Decision(
            action=chosen.action,
            parameters=chosen.parameters,
            reason=chosen.reason,
            chooser=self.name,
            shown_digest=_digest(case),
        )


def _weigh(opinions: list[_Opinion]) -> _Opinion:
    if not opinions:
        return _escalate(_Weight.UNKNOWN, "There is no line to decide by; a person should look.")
    heaviest = max(opinion.weight for opinion in opinions)
    # The newest line is the last.
    best = [opinion for opinion in reversed(opinions) if opinion.weight is heaviest]
    actions = sorted({opinion.action for opinion in best})
    if len(actions) > 1:
        return _escalate(heaviest, f"The lines speak for {' and for '.join(actions)}; a person should decide.")
    return best[0]


def _read(record: LogRecord, case: Case, known: Knowledge) -> _Opinion:
    """What one line says by itself."""
    unit = record.unit or case.unit
    stem = short_unit(unit).casefold()
    message = record.message[:LOOKED_AT]
    words = own_words(message)
    lowered = words.casefold()
    attack = known.attack(body(message).casefold(), stem)
    if attack is not None and Amid.INFORMATION in attack.noise_amid and informs(message):
        # What only strangers said is read past; the program's own words are judged like any others.
        attack = known.attack(lowered, stem)
    if attack is not None or any(action.id in message for action in case.actions if "_" in action.id):
        reason = attack.reason if attack else "The line names actions of this tool: orders never come by log."
        noise = attack is not None and Amid.REQUEST in attack.noise_amid and is_request(message)
        return _quiet(_Weight.QUIET, _REQUEST) if noise else _escalate(_Weight.ATTACK, reason)
    if not words:
        return _quiet(_Weight.QUIET, _REQUEST)
    if not _is_name(unit):
        return _escalate(_Weight.ATTACK, "The unit's name is none that systemd could have; a person should look.")
    if known.suspicious.search(stem):
        return _escalate(_Weight.ATTACK, f"{unit} is named like malware; it must not be started again.")
    effect = known.is_effect(lowered)
    for_person = _Weight.PERSON_BY_EFFECT if effect else _Weight.PERSON_BY_CAUSE
    informed = informs(message) and not effect and not known.troubles(lowered)
    rule = known.first(lowered, stem)
    # What a program is busy with is no trouble where it says so only to inform.
    if rule is not None and not (rule.busy_with and informed):
        return _by_rule(rule, for_person)
    weight = _Weight.ACTION_BY_EFFECT if effect else _Weight.ACTION_BY_CAUSE
    fitting = _fitting(record, case, words, weight, known)
    if fitting is not None:
        return fitting
    if informed:
        return _quiet(_Weight.HARMLESS, "The program itself calls the line information, and it tells of no failure.")
    if Severity.of_priority(record.priority) is Severity.DEBUG and not effect:
        return _quiet(_Weight.HARMLESS, "The line is written for whoever debugs the program.")
    rule = known.otherwise(lowered, stem)
    return _by_rule(rule, for_person) if rule is not None else _unknown(record, lowered, effect, known)


def _by_rule(rule: Rule, for_person: _Weight) -> _Opinion:
    if rule.says is Says.HARMLESS:
        return _quiet(_Weight.HARMLESS, rule.reason)
    return _escalate(_Weight.UNKNOWN if rule.alone else for_person, rule.reason)


_REQUEST = "The line only repeats what somebody asked for or typed; nothing failed."


def _is_name(unit: str) -> bool:
    return unit == "" or is_service(unit) or not set(unit) - set(_NAME_LETTERS)


_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.@-\\"


def _unknown(record: LogRecord, lowered: str, effect: bool, known: Knowledge) -> _Opinion:
    severity = max(Severity.of_priority(record.priority), stated(record.message))
    warns = severity is Severity.WARNING
    if record.unit_failure or effect or severity > Severity.WARNING or (warns and known.fails(lowered)):
        return _escalate(_Weight.UNKNOWN, "The line states a problem that no rule knows; a person should look.")
    if warns:
        return _quiet(_Weight.HARMLESS, "The line warns, and says of nothing that it failed.")
    return _quiet(_Weight.QUIET, "The line states no error.")


def _fitting(record: LogRecord, case: Case, words: str, weight: _Weight, known: Knowledge) -> _Opinion | None:
    """The one action whose pattern holds, with its values; escalate where it must not be or where two fit."""
    candidates = {candidate.action: candidate for candidate in case.candidates}
    found: dict[str, _Opinion] = {}
    for action in case.actions:
        for pattern in action.patterns:
            if action.id not in found and pattern.holds(words):
                found[action.id] = _pick(action, pattern, candidates.get(action.id), record, case, words, weight, known)
    if len(found) > 1:
        return _escalate(weight, f"Both {' and '.join(sorted(found))} could fit; a person should decide.")
    return next(iter(found.values()), None)


def _pick(
    action: Action,
    pattern: Pattern,
    candidate: Candidate | None,
    record: LogRecord,
    case: Case,
    words: str,
    weight: _Weight,
    known: Knowledge,
) -> _Opinion:
    if candidate is None:
        return _escalate(weight, f"{action.title} would fit, but the line names nothing safe to do it to.")
    matched = compiled(pattern.match).search(words)
    groups = matched.groupdict() if matched else {}
    own = short_unit(record.unit or case.unit)
    chosen: dict[str, str] = {}
    for parameter in action.parameters:
        offered = candidate.values.get(parameter.name, ())
        meant = pattern.values.get(parameter.name, ())
        captured = groups.get(parameter.name) or next((one for one in meant if one in offered), next(iter(meant), None))
        if parameter.source is ParameterSource.UNIT:
            value = as_unit(captured, own) if captured else own
            objection = _unit_objection(value, own, weight, known, jobs=action.jobs, informed=informs(record.message))
        else:
            value = (said_path(captured) or captured) if captured else ""
            value = value or (offered[0] if len(offered) == 1 and parameter.required else "")
            if parameter.source is ParameterSource.FILE_SYSTEM:
                # Nothing is done to the path itself; one that is not offered leaves open which file system is meant.
                value, objection = value if value in offered else "", ""
            else:
                objection = _path_objection(value, known)
        if not value and not parameter.required:
            continue
        if objection or value not in offered:
            named = value[:120] or f"what {parameter.name} should be"
            reason = objection or f"{action.title} would fit, but {named!r} is not known to exist or is no safe value"
            return _escalate(max(weight, _Weight.PERSON_BY_EFFECT), f"{reason}; a person should look.")
        chosen[parameter.name] = value
    shown = ", ".join(f"{name}={value}" for name, value in chosen.items())
    said = matched.group(0)[:120] if matched else ""
    reason = f"{action.title}{f' ({shown})' if shown else ''}: the line says {said!r}."
    return _Opinion(weight=weight, action=action.id, parameters=chosen, reason=reason)


#: Under these names PID 1 itself speaks of other units, or nothing says who speaks.
_SYSTEMD_SPEAKS = frozenset({"", "init.scope", "systemd", "unknown"})


def _unit_objection(value: str, own: str, weight: _Weight, known: Knowledge, *, jobs: bool, informed: bool) -> str:
    stem = value.split("@", 1)[0].casefold()
    # What helps jobs too starts and ends nothing.
    if (known.doors if jobs else known.protected).fullmatch(stem):
        return f"{value} is a protected unit: a change that goes wrong would lock everybody out or break the host"
    if known.suspicious.search(stem):
        return f"{value} is named like malware"
    if not jobs and (known.jobs.fullmatch(stem) or value.endswith((".timer", ".socket"))):
        return f"{value} is a job that runs and ends, not a service: starting it again cures nothing"
    # A socket says nothing itself: systemd speaks of it, and of the service of its name.
    if weight is _Weight.ACTION_BY_EFFECT and own not in {value, f"{value}.socket", *_SYSTEMD_SPEAKS}:
        return f"{own} can't know what became of {value}; only systemd itself may say that"
    if informed and not jobs:
        return f"{own} says so only to inform, and {value} is not touched for that"
    return ""


def _path_objection(value: str, known: Knowledge) -> str:
    if value and known.suspicious.search(value.casefold()):
        return f"{value} is named like malware"
    if value and known.sensitive.search(value):
        return f"{value} holds secrets, decides who may log in, or is shared by the whole system"
    return ""


def _digest(case: Case) -> str:
    """SHA-256 over the lines and the candidates that were looked at."""
    shown = {
        "unit": case.unit,
        "lines": [[record.unit, record.priority, record.message] for record in case.records],
        "candidates": [
            [one.action, {name: list(values) for name, values in one.values.items()}] for one in case.candidates
        ],
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
