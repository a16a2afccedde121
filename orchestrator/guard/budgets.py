"""How many act runs a day: of a host, of an action, of the fleet."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.fleet import FleetAttempt, FleetState, Place
from orchestrator.guard.history import WINDOW
from orchestrator.guard.question import Question


def host_budget(question: Question) -> str | None:
    """The host has act runs left within 24 hours."""
    if question.fleet is None or question.host is None:
        return None
    name, limit = question.host.name, question.fleet.limits.budget_host
    spent = _spent(question, question.fleet, lambda one: one.host == name)
    return None if spent < limit else _sentence(f"{name} had", spent, "budget_host_per_day", limit)


def action_budget(question: Question) -> str | None:
    """The action has act runs left within 24 hours, on whatever hosts."""
    if question.fleet is None:
        return None
    name, limit = question.decision.action, question.fleet.limits.budget_action
    spent = _spent(question, question.fleet, lambda one: one.action == name)
    return None if spent < limit else _sentence(f"{name} had", spent, "budget_action_per_day", limit)


def fleet_budget(question: Question) -> str | None:
    """The fleet has act runs left within 24 hours."""
    if question.fleet is None:
        return None
    limit = question.fleet.limits.budget_fleet
    spent = _spent(question, question.fleet, lambda one: True)
    return None if spent < limit else _sentence("The fleet had", spent, "budget_fleet_per_day", limit)


def _spent(question: Question, fleet: FleetState, counts: Callable[[FleetAttempt | Place], bool]) -> int:
    """Act runs of the last 24 hours, and those that were let in and are about to begin.

    One ahead of `now` counts too: a clock that goes back frees no budget.
    """
    start = question.now - WINDOW
    begun = sum(one.at > start and counts(one) for one in fleet.attempts)
    return begun + sum(
        one.admitted and not one.acted and one.incident_id != fleet.incident_id and counts(one) for one in fleet.places
    )


def _sentence(whose: str, spent: int, setting: str, limit: int) -> str:
    return f"{whose} {spent} act runs in 24 hours; {setting} is {limit}. A person must act."
