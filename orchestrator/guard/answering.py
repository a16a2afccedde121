"""Whether somebody may answer a question to a person, and whether it can still be answered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.verdicts import Answer, Approval


class Bar(StrEnum):
    """Why an answer is not taken."""

    #: Somebody answered before.
    ANSWERED = "answered"
    #: Nobody answered in time.
    EXPIRED = "expired"
    #: What it was asked for is not there any more.
    VOID = "void"
    #: The host's policy lets others answer.
    APPROVER = "approver"
    #: Whoever asked may not approve it.
    FOUR_EYES = "four_eyes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An answer that is not taken, with one sentence for a person."""

    bar: Bar
    sentence: str


def refusal(approval: Approval, answer: Answer, actor: str, policy: HostPolicy, now: datetime) -> Refusal | None:
    """None: `actor` may give this answer now. What is over is said first, then who may not."""
    return _over(approval, now) or _barred(approval, answer, actor, policy)


def _over(approval: Approval, now: datetime) -> Refusal | None:
    if approval.answer is Answer.VOID:
        return Refusal(bar=Bar.VOID, sentence=void(approval))
    if approval.answer is Answer.EXPIRED or (approval.answer is Answer.PENDING and approval.expires_at <= now):
        return Refusal(bar=Bar.EXPIRED, sentence=f"{approval.id} has expired. Nothing was done.")
    if approval.answer is not Answer.PENDING:
        sentence = f"{approval.id} was {approval.answer} already, by {approval.answered_by}. This answer does nothing."
        return Refusal(bar=Bar.ANSWERED, sentence=sentence)
    return None


def _barred(approval: Approval, answer: Answer, actor: str, policy: HostPolicy) -> Refusal | None:
    if policy.approvers is not None and actor not in policy.approvers:
        listed = ", ".join(sorted(policy.approvers)) or "nobody"
        return Refusal(
            bar=Bar.APPROVER,
            sentence=f"{actor} may not answer {approval.id}: healing_approvers on {approval.host} has {listed}. "
            "Nothing was done.",
        )
    four_eyes = approval.four_eyes or policy.four_eyes
    if four_eyes and answer is Answer.APPROVED and approval.asked_by and _person(actor) == _person(approval.asked_by):
        return Refusal(
            bar=Bar.FOUR_EYES,
            sentence=f"{approval.asked_by} asked for this healing, and healing_four_eyes on {approval.host} wants "
            "somebody else to approve it. Nothing was done.",
        )
    return None


def void(approval: Approval) -> str:
    """What is said of a question that is void."""
    return f"{approval.id} is void. {approval.void_reason} Nothing was done, and the next error asks again."


def _person(actor: str) -> str:
    """The name without the way in: cli:ann and api:ann are one person. What has no name is only itself."""
    return (actor.partition(":")[2] or actor).casefold()
