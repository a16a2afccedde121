"""One answer to all that is asked about an outbreak: denied at once, approved on one host first.

Each question goes through the one door for answers by itself, so each is compared with what would run on its host, and
each host's policy says who may answer. What is approved is healed host by host, as any question is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from orchestrator.domain import ids
from orchestrator.domain.incidents import Incident, IncidentState
from orchestrator.domain.outbreaks import Outbreak
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.errors import AnswerRefused, ConfigError, HealingError, RecordError, StoreUnavailable
from orchestrator.ports import Store

#: Open questions, and incidents of one state, that are looked through.
LOOKED_AT = 10_000
#: Hosts that are compared at a time with what they were asked about.
AT_ONCE = 8
#: How long before the outbreak was opened an incident may have begun that belongs to it.
BEFORE = timedelta(hours=1)
#: Why nothing is taken: the first host is being tried, as the bar of a refused answer.
CANARY = "canary"
GOOD = (IncidentState.VERIFIED, IncidentState.HEALED)
GOING_ON = (IncidentState.PENDING_APPROVAL, IncidentState.HEALING)


class Door(Protocol):
    """Where one question is answered; see answering.Desk."""

    @property
    def store(self) -> Store: ...
    def answer(self, approval_id: str, answered: Answer, who: str, why: str) -> Approval: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What became of one question."""

    #: As it was asked, and whether the answer was taken.
    approval: Approval
    taken: bool
    #: Why not; '' where it was.
    sentence: str = ""


def questions(store: Store, outbreak: Outbreak) -> tuple[Approval, ...]:
    """Open ones about the outbreak's error and the deed that was decided for all, oldest first."""
    deed = _deed(store, outbreak)
    found = [
        one
        for one in store.approvals((Answer.PENDING,), LOOKED_AT)
        if (one.action, dict(one.parameters)) == deed and outbreak.signature in store.signatures(one.incident_id)
    ]
    return tuple(sorted(found, key=lambda one: (one.asked_at, one.id)))


def answer_outbreak(door: Door, outbreak_id: str, answered: Answer, who: str, why: str) -> tuple[Said, ...]:
    """What became of each question, oldest first.

    Approved are all of them only once a host verified; before that, the first one that takes it. Raises ConfigError for
    an unknown outbreak, and AnswerRefused where nothing waits for an answer, or the first host is still being tried.
    """
    store = door.store
    outbreak = store.outbreak(outbreak_id)
    if outbreak is None:
        raise ConfigError(f"There is no outbreak {outbreak_id}. `healer outbreaks list` shows them.")
    asked = questions(store, outbreak)
    if not asked:
        raise AnswerRefused(f"Nothing about {outbreak_id} waits for an answer. Nothing was done.", bar="answered")
    if answered is not Answer.APPROVED or _hosts(store, outbreak, GOOD):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = tuple(pool.map(lambda one: _answer(door, one, answered, who, why), asked))
    else:
        trying = _hosts(store, outbreak, GOING_ON)
        if trying:
            raise AnswerRefused(
                f"{', '.join(trying)} is tried first and has not verified yet: approve the others once it has. "
                "Nothing was done.",
                bar=CANARY,
            )
        told = _first(door, asked, who, why)
    hosts = ", ".join(one.approval.host for one in told if one.taken) or "no host"
    store.append(
        "outbreak.answered",
        incident_id=outbreak_id,
        text=f"{answered} by {who} for {hosts}, {len(told)} asked: {why}",
        actor=who,
        data={"answer": answered.value, "approvals": [one.approval.id for one in told if one.taken]},
    )
    return told


def _first(door: Door, asked: Sequence[Approval], who: str, why: str) -> tuple[Said, ...]:
    """Approve one; what can't be is passed over."""
    told: list[Said] = []
    first = ""
    for one in asked:
        if first:
            told.append(
                Said(approval=one, taken=False, sentence=f"{first} is tried first: approve again once it verified.")
            )
            continue
        told.append(_answer(door, one, Answer.APPROVED, who, why))
        first = one.host if told[-1].taken else ""
    return tuple(told)


def _answer(door: Door, asked: Approval, answered: Answer, who: str, why: str) -> Said:
    try:
        door.answer(asked.id, answered, who, why)
    except (StoreUnavailable, RecordError):
        raise
    except HealingError as error:
        return Said(approval=asked, taken=False, sentence=str(error))
    return Said(approval=asked, taken=True)


def _hosts(store: Store, outbreak: Outbreak, states: Sequence[IncidentState]) -> list[str]:
    """Where the deed was let run, and stands so."""
    found = (one for one in store.incidents(states=states, limit=LOOKED_AT) if _of(store, outbreak, one))
    return sorted({one.host for one in found if one.state in GOOD or _let_run(store, one)})


def _of(store: Store, outbreak: Outbreak, incident: Incident) -> bool:
    decision = store.decision(incident.id)
    return (
        incident.id >= ids.id_at(outbreak.opened_at - BEFORE)
        and decision is not None
        and (decision.action, dict(decision.parameters)) == _deed(store, outbreak)
        and outbreak.signature in store.signatures(incident.id)
    )


def _let_run(store: Store, incident: Incident) -> bool:
    """By a person, or by policy itself; whoever is still asked about is not."""
    asked = store.approval(ids.approval_id(incident.id))
    return asked is None or asked.answer is Answer.APPROVED


def _deed(store: Store, outbreak: Outbreak) -> tuple[str, dict[str, object]]:
    """What was decided for all: by whoever joined, else by the first of them."""
    if outbreak.action:
        return outbreak.action, dict(outbreak.parameters)
    decision = store.decision(ids.decider_of(outbreak.id))
    return (decision.action, dict(decision.parameters)) if decision else ("", {})
