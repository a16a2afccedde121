"""What healing-bot may do by itself on a host, and what a person must say yes to. An approval lifts all of this."""

from __future__ import annotations

from orchestrator.domain.actions import Risk
from orchestrator.domain.hosts import Mode
from orchestrator.domain.windows import is_open
from orchestrator.guard.question import Question

_ORDER = tuple(Risk)


def window(question: Question) -> str | None:
    """One of the host's `healing_windows` is open, or a person approved: nothing acts outside by itself."""
    if question.approved or question.host is None or question.host.policy.windows is None:
        return None
    windows = question.host.policy.windows
    if is_open(windows, question.now):
        return None
    listed = "; ".join(one.text for one in windows) or "none"
    return (
        f"It is outside of healing_windows on {question.host.name} ({listed}): a person decides about "
        f"{question.decision.action}."
    )


def risk(question: Question) -> str | None:
    """The action is no riskier than the host's `healing_max_risk`, or a person approved."""
    if question.approved or question.host is None or question.action is None:
        return None
    most, given = question.host.policy.max_risk, question.action.risk
    if _ORDER.index(given) <= _ORDER.index(most):
        return None
    return (
        f"{question.action.id} has risk {given}, and healing_max_risk on {question.host.name} is {most}: a person "
        "decides."
    )


def propose(question: Question) -> str | None:
    """The host's `healing_mode` is auto, or a person approved these very bytes."""
    if question.approved or (question.host is not None and question.host.policy.mode == Mode.AUTO):
        return None
    name = question.host.name if question.host else "the host"
    return f"healing_mode is propose on {name}: a person decides about {question.decision.action}."
