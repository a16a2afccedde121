"""What a rule of policy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.domain.verdicts import Outcome
from orchestrator.guard.question import Question


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One reason not to act.

    `objects` answers a sentence for a person where the rule decides, and None where it has nothing against
    the decision. A rule never allows: only the absence of every objection does.
    """

    #: Stable: it is recorded with verdicts, shown, and documented in docs/policy.md.
    name: str
    outcome: Outcome
    objects: Callable[[Question], str | None]


def on_host(question: Question) -> str:
    """` on HOST`, or nothing where no host is given."""
    return f" on {question.host.name}" if question.host else ""
