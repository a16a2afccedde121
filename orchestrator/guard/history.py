"""How old, how often, how soon again."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.domain.verdicts import Attempt
from orchestrator.guard.question import Question

#: The window that attempts are counted in (design: rolling 24 hours, never reset).
WINDOW = timedelta(hours=24)


def age(question: Question) -> str | None:
    """The evidence was fresh when it was detected; a person's trigger or approval has no age limit."""
    if question.age_seconds is None or question.approved or question.host is None:
        return None
    limit = question.host.policy.max_age_seconds
    # Written so that a NaN is too old.
    if question.age_seconds <= limit:
        return None
    return (
        f"The error on {question.host.name} was {question.age_seconds:.0f} s old when it was seen; "
        f"healing_max_age_seconds is {limit:.0f}."
    )


def _counted(question: Question) -> tuple[Attempt, ...]:
    """Attempts on this host inside the window; those ahead of `now` count too: the clock went back."""
    if question.host is None:
        return ()
    start = question.now - WINDOW
    return tuple(a for a in question.attempts if a.host == question.host.name and a.at > start)


def _same_deed(attempt: Attempt, question: Question) -> bool:
    return attempt.action == question.decision.action and dict(attempt.parameters) == dict(question.decision.parameters)


def attempts(question: Question) -> str | None:
    """Fewer than the host's limit, for each signature of the incident and for this very action."""
    if question.host is None:
        return None
    counted, limit = _counted(question), question.host.policy.max_attempts
    deeds = sum(_same_deed(attempt, question) for attempt in counted)
    if deeds >= limit:
        return (
            f"{question.decision.action} with these parameters was run {deeds} times on {question.host.name} "
            f"in 24 hours; healing_max_attempts is {limit}. A person must act."
        )
    for signature in sorted(question.signatures):
        tried = sum(signature in attempt.signatures for attempt in counted)
        if tried >= limit:
            return (
                f"Healing this error was tried {tried} times on {question.host.name} in 24 hours; "
                f"healing_max_attempts is {limit}. A person must act."
            )
    return None


def cooldown(question: Question) -> str | None:
    """Enough time went by since the last attempt of the same kind."""
    if question.host is None:
        return None
    limit = question.host.policy.cooldown_seconds
    alike = [
        attempt.at
        for attempt in _counted(question)
        if _same_deed(attempt, question) or attempt.signatures & question.signatures
    ]
    if not alike:
        return None
    # An attempt ahead of `now` was just made, as far as anybody can tell.
    elapsed = max(0.0, (question.now - max(alike)).total_seconds())
    if elapsed >= limit:
        return None
    return (
        f"The last attempt of this kind on {question.host.name} was {elapsed:.0f} s ago; "
        f"healing_cooldown_seconds is {limit:.0f}."
    )
