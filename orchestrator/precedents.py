"""What memory knows, as a person sees it, and a person's word about it: checked, then recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from orchestrator.decide.candidates import is_service, short_unit
from orchestrator.detect.signature import signature as signature_of
from orchestrator.domain.actions import Action, Parameter, ParameterSource
from orchestrator.domain.ids import Signature
from orchestrator.domain.precedents import Chosen, Precedents, Standing, Word
from orchestrator.domain.speech import plain_path
from orchestrator.errors import ConfigError
from orchestrator.ports import EVIDENCE_KEPT, Store

#: Signatures among which a beginning is looked for.
NEWEST = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """One deed for one signature, or a person's word about it."""

    signature: Signature
    #: The masked text of its lines; '' where no incident that is kept began with it.
    template: str
    #: pinned, forbidden, proven (chosen from memory), learning (healed, not often enough), forgotten (it failed).
    standing: str
    #: '': any action.
    action: str
    parameters: Mapping[str, str]
    #: How often it healed in a row up to now; how often it was done.
    healed: int
    done: int
    last: datetime | None
    #: When memory chose it last; None: never.
    last_chosen: datetime | None
    word: Word | None


def overview(store: Store, healed_times: int, limit: int = 100) -> tuple[Remembered, ...]:
    """What memory has learned and what people said, the latest first."""
    return tuple(row for one in store.remembered(limit) for row in details(store, one, healed_times))


def details(store: Store, one: Precedents, healed_times: int) -> tuple[Remembered, ...]:
    """All that is known of one signature, a deed a row."""
    learned, word = one.learned(), one.word
    deeds: dict[Chosen, None] = dict.fromkeys(deed.chosen for deed in one.deeds)
    forbidden = word is not None and word.standing is Standing.FORBIDDEN
    if word and not any(word.pinned == what or word.forbids(what[0]) for what in deeds):
        deeds = {(word.action, tuple(sorted(word.parameters.items()))): None} | deeds
    template, rows = words(store, one), []
    for what in deeds:
        done = one.done(what)
        healed = learned.get(what, 0)
        standing = "proven" if healed >= healed_times else "learning" if healed else "forgotten"
        if word and word.pinned == what:
            standing = Standing.PINNED.value
        elif word and forbidden and (word.forbids(what[0]) or what[0] == word.action):
            standing = Standing.FORBIDDEN.value
        rows.append(
            Remembered(
                signature=one.signature,
                template=template,
                standing=standing,
                action=what[0],
                parameters=dict(what[1]),
                healed=healed,
                done=len(done),
                last=done[0].at if done else None,
                last_chosen=next((deed.at for deed in done if deed.chooser == "memory"), None),
                word=word,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Otherwise:
    """A line that stood beside a pinned one and speaks for something else."""

    signature: Signature
    action: str
    parameters: Mapping[str, str]


def otherwise(store: Store, one: Precedents, healed_times: int) -> tuple[Otherwise, ...]:
    """The lines for which a pin is not followed while they are in sight with it: MemoryChooser asks then."""
    pinned = one.word.pinned if one.word else None
    if pinned is None:
        return ()
    beside = sorted({line for deed in one.deeds for line in deed.shown} - {one.signature})
    found = []
    for other in (store.precedents(line) for line in beside):
        if other.word and other.word.pinned:
            said = {other.word.pinned}
        else:
            said = {what for what, healed in other.learned().items() if healed >= healed_times}
        if said and pinned not in said:
            action, parameters = min(said)
            found.append(Otherwise(signature=other.signature, action=action, parameters=dict(parameters)))
    return tuple(found)


def find(store: Store, given: str) -> Signature:
    """The signature that was given whole, or by a beginning that only one has. Raises ConfigError."""
    if given and store.wording(Signature(given)) is not None:
        return Signature(given)
    known = [one.signature for one in store.remembered(NEWEST)]
    found = [one for one in known if given and one.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} signatures begin with {given}: {', '.join(found[:5])}. Give more of it.")
    raise ConfigError(
        f"No incident has had the signature {given!r}. Give one that `healer memory list` or `healer incidents show` "
        "names, or the id of an incident, which stands for the line that it began with."
    )


def pin(
    store: Store,
    actions: Sequence[Action],
    signature: Signature,
    *,
    action: str,
    given: Mapping[str, str],
    actor: str,
    reason: str,
    now: datetime,
) -> Word:
    """Have it chosen at once for this error, with the parameters that are given.

    Without an action: the one that memory learned. Raises ConfigError for what could never be chosen.
    """
    if action:
        parameters = _parameters(_action(actions, action), given)
    else:
        action, parameters = _learned(store, signature, given)
    standing, template = Standing.PINNED, store.wording(signature) or ""
    word = Word(
        signature=signature,
        template=template,
        standing=standing,
        action=action,
        parameters=parameters,
        actor=actor,
        reason=reason,
        at=now,
    )
    store.record_word(word)
    return word


def forbid(
    store: Store,
    actions: Sequence[Action],
    signature: Signature,
    *,
    action: str,
    actor: str,
    reason: str,
    now: datetime,
) -> Word:
    """Have it never chosen for this error, whoever decides; no action: nothing at all is. Raises ConfigError."""
    word = Word(
        signature=signature,
        template=store.wording(signature) or "",
        standing=Standing.FORBIDDEN,
        action=_action(actions, action).id if action else "",
        parameters={},
        actor=actor,
        reason=reason,
        at=now,
    )
    store.record_word(word)
    return word


def release(store: Store, signature: Signature, *, actor: str, reason: str) -> Word:
    """Take a person's word back: what healings taught counts again. Raises ConfigError where there is none."""
    former = store.withdraw_word(signature, actor=actor, reason=reason)
    if former is None:
        raise ConfigError(
            f"Nobody has pinned or forbidden anything for {signature}. `healer memory list` shows who has."
        )
    return former


def words(store: Store, one: Precedents) -> str:
    """The line that the signature stands for, masked; '' where nothing on record has it any more."""
    template = store.wording(one.signature) or (one.word.template if one.word else "")
    if template or not one.deeds:
        return template
    # It was never the first line of an incident: its words are among the evidence.
    said = (
        signature_of(record.unit, record.message) for record in store.evidence(one.deeds[0].incident_id, EVIDENCE_KEPT)
    )
    return next((words for name, words in said if name == one.signature), "")


def _action(actions: Sequence[Action], given: str) -> Action:
    known = {action.id: action for action in actions}
    if given not in known:
        near = get_close_matches(given, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ConfigError(f"There is no action {given!r}. {hint}The whitelist has: {', '.join(sorted(known))}.")
    return known[given]


def _learned(store: Store, signature: Signature, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    if given:
        raise ConfigError("A parameter says nothing without an action. Give the action that takes it.")
    learned = list(store.precedents(signature).learned())
    if len(learned) != 1:
        which = ", ".join(sorted(action for action, _ in learned)) or "nothing"
        raise ConfigError(f"For {signature} memory has learned {which}: say which action is to be pinned.")
    action, parameters = learned[0]
    return action, dict(parameters)


def _parameters(action: Action, given: Mapping[str, str]) -> dict[str, str]:
    takes = {parameter.name: parameter for parameter in action.parameters}
    accepted = ", ".join(f"{one.name} ({one.source})" for one in takes.values()) or "none"
    for name in given:
        if name not in takes:
            raise ConfigError(f"{action.id} takes no parameter {name!r}. It takes: {accepted}.")
    missing = [name for name, one in takes.items() if one.required and not given.get(name)]
    if missing:
        raise ConfigError(f"{action.id} needs the parameter {missing[0]}. It takes: {accepted}.")
    return {name: _value(action, takes[name], value) for name, value in given.items()}


def _value(action: Action, parameter: Parameter, given: str) -> str:
    """As candidates are offered. Raises ConfigError for what never is."""
    if parameter.source is ParameterSource.UNIT:
        if not is_service(given):
            raise ConfigError(
                f"{parameter.name} of {action.id} takes the name of a service, such as nginx; got {given!r}."
            )
        return short_unit(given)
    if plain_path(given) != given:
        raise ConfigError(
            f"{parameter.name} of {action.id} takes a plain absolute path, such as /opt/x; got {given!r}."
        )
    return given
