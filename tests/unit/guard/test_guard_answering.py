"""Who may answer a question, and until when: every state by who asks, expiry and four eyes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.hosts import HostPolicy
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.guard.answering import Bar, refusal, void

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ASKED = Approval(
    id="apr-1",
    incident_id="inc-1",
    host="web1",
    action="restart_service",
    parameters={"service": "nginx.service"},
    digest="d" * 64,
    rule="propose",
    reason="it crashed",
    asked_at=NOON,
    expires_at=NOON + timedelta(hours=1),
    asked_by="api:ann",
)
ANYBODY, BOB_ALONE, NOBODY = (
    HostPolicy(),
    HostPolicy(approvers=frozenset({"cli:bob"})),
    HostPolicy(approvers=frozenset()),
)
LATE = NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("approval", "answer", "actor", "policy", "now", "bar"),
    [
        # Who may.
        (ASKED, Answer.APPROVED, "cli:bob", ANYBODY, NOON, None),
        (ASKED, Answer.DENIED, "cli:bob", ANYBODY, NOON, None),
        (ASKED, Answer.APPROVED, "cli:bob", BOB_ALONE, NOON, None),
        (ASKED, Answer.APPROVED, "cli:eve", BOB_ALONE, NOON, Bar.APPROVER),
        (ASKED, Answer.DENIED, "cli:eve", BOB_ALONE, NOON, Bar.APPROVER),
        # Another way in is another name: a token `bob` may be anybody's.
        (ASKED, Answer.APPROVED, "api:bob", BOB_ALONE, NOON, Bar.APPROVER),
        (ASKED, Answer.APPROVED, "cli:bob", NOBODY, NOON, Bar.APPROVER),
        # Four eyes, from the host's variable or as it was when it was asked.
        (ASKED, Answer.APPROVED, "api:ann", ANYBODY, NOON, None),
        (ASKED, Answer.APPROVED, "api:ann", HostPolicy(four_eyes=True), NOON, Bar.FOUR_EYES),
        (replace(ASKED, four_eyes=True), Answer.APPROVED, "api:ann", ANYBODY, NOON, Bar.FOUR_EYES),
        (replace(ASKED, four_eyes=True), Answer.APPROVED, "cli:ann", ANYBODY, NOON, Bar.FOUR_EYES),
        (replace(ASKED, four_eyes=True), Answer.APPROVED, "cli:Ann", ANYBODY, NOON, Bar.FOUR_EYES),
        (replace(ASKED, four_eyes=True), Answer.APPROVED, "cli:bob", ANYBODY, NOON, None),
        (replace(ASKED, four_eyes=True), Answer.APPROVED, "cli:anna", ANYBODY, NOON, None),
        # Whoever asked may take it back.
        (replace(ASKED, four_eyes=True), Answer.DENIED, "api:ann", ANYBODY, NOON, None),
        (replace(ASKED, four_eyes=True, asked_by=""), Answer.APPROVED, "cli:ann", ANYBODY, NOON, None),
        (replace(ASKED, four_eyes=True, asked_by="api"), Answer.APPROVED, "api", ANYBODY, NOON, Bar.FOUR_EYES),
        # Until when.
        (ASKED, Answer.APPROVED, "cli:bob", ANYBODY, LATE - timedelta(seconds=1), None),
        (ASKED, Answer.APPROVED, "cli:bob", ANYBODY, LATE, Bar.EXPIRED),
        (ASKED, Answer.DENIED, "cli:bob", ANYBODY, LATE, Bar.EXPIRED),
        (replace(ASKED, answer=Answer.EXPIRED), Answer.APPROVED, "cli:bob", ANYBODY, NOON, Bar.EXPIRED),
        # Once.
        (replace(ASKED, answer=Answer.APPROVED), Answer.APPROVED, "cli:bob", ANYBODY, NOON, Bar.ANSWERED),
        (replace(ASKED, answer=Answer.APPROVED), Answer.DENIED, "cli:bob", ANYBODY, LATE, Bar.ANSWERED),
        (replace(ASKED, answer=Answer.DENIED), Answer.APPROVED, "cli:bob", ANYBODY, NOON, Bar.ANSWERED),
        (replace(ASKED, answer=Answer.VOID), Answer.APPROVED, "cli:bob", ANYBODY, NOON, Bar.VOID),
        (replace(ASKED, answer=Answer.VOID), Answer.DENIED, "cli:bob", ANYBODY, LATE, Bar.VOID),
        # What is over is said first.
        (replace(ASKED, answer=Answer.DENIED), Answer.APPROVED, "cli:eve", BOB_ALONE, NOON, Bar.ANSWERED),
    ],
)
def test_who_may_answer_what_until_when(
    approval: Approval, answer: Answer, actor: str, policy: HostPolicy, now: datetime, bar: Bar | None
) -> None:
    refused = refusal(approval, answer, actor, policy, now)

    assert (refused.bar if refused else None) == bar


@pytest.mark.parametrize(
    ("approval", "actor", "policy", "now", "sentence"),
    [
        (ASKED, "cli:eve", BOB_ALONE, NOON, "cli:eve may not answer apr-1: healing_approvers on web1 has cli:bob."),
        (ASKED, "cli:eve", NOBODY, NOON, "healing_approvers on web1 has nobody."),
        (ASKED, "cli:ann", HostPolicy(four_eyes=True), NOON, "api:ann asked for this healing, and healing_four_eyes"),
        (ASKED, "cli:bob", ANYBODY, LATE, "apr-1 has expired."),
        (
            replace(ASKED, answer=Answer.DENIED, answered_by="cli:bob"),
            "cli:eve",
            ANYBODY,
            NOON,
            "denied already, by cli:bob",
        ),
        (
            replace(ASKED, answer=Answer.VOID, void_reason="Since it was asked, the role x changed."),
            "cli:bob",
            ANYBODY,
            NOON,
            "apr-1 is void. Since it was asked, the role x changed. Nothing was done",
        ),
    ],
)
def test_a_refusal_says_who_may_or_what_is_over(
    approval: Approval, actor: str, policy: HostPolicy, now: datetime, sentence: str
) -> None:
    refused = refusal(approval, Answer.APPROVED, actor, policy, now)

    assert refused is not None
    assert sentence in refused.sentence


def test_only_an_open_question_in_time_takes_any_answer() -> None:
    actors, policies = ("cli:ann", "api:ann", "cli:bob", "api"), (ANYBODY, BOB_ALONE, HostPolicy(four_eyes=True))
    for state, answer, actor, policy, now in itertools.product(
        Answer, (Answer.APPROVED, Answer.DENIED), actors, policies, (NOON, LATE)
    ):
        if refusal(replace(ASKED, answer=state), answer, actor, policy, now) is None:
            assert (state, now) == (Answer.PENDING, NOON)


def test_a_void_question_says_what_comes_next() -> None:
    assert void(replace(ASKED, void_reason="So.")) == (
        "apr-1 is void. So. Nothing was done, and the next error asks again."
    )
