"""The rules of policy in their order, and the one function that asks them all.

Order: all denials, then what is not known, then what a person must approve, then what has to wait. `allowed` is
what is left when no rule objects, so a new rule can only make policy stricter. docs/policy.md lists the same names; a
test compares.
"""

from __future__ import annotations

from orchestrator.domain.actions import ParameterSource
from orchestrator.domain.hosts import Mode
from orchestrator.domain.verdicts import Outcome, Verdict
from orchestrator.guard import breaker, budgets, fleet, history, leave, paths, shapes, units
from orchestrator.guard.question import Question
from orchestrator.guard.rule import Rule, on_host

ALLOWED = "allowed"


def judge(question: Question) -> Verdict:
    """The first rule that objects decides; `allowed` only where none does. Pure and total."""
    for rule in RULES:
        reason = rule.objects(question)
        if reason is not None:
            return Verdict(outcome=rule.outcome, rule=rule.name, reason=reason)
    approved = "; a person approved it" if question.approved else ""
    return Verdict(
        outcome=Outcome.ALLOWED,
        rule=ALLOWED,
        reason=f"No rule has anything against {question.decision.action}{on_host(question)}{approved}.",
    )


def _stopped(question: Question) -> str | None:
    """Nobody stopped everything (`healer stop`)."""
    if question.stopped is None:
        return None
    why = question.stopped.rstrip(".") or "no reason was given"
    return f"All healing is stopped: {why}. `healer start` allows it again."


def _no_action(question: Question) -> str | None:
    """The chooser picked something to do."""
    if question.decision.acts:
        return None
    return f"The chooser picked {question.decision.action}: there is nothing to run{on_host(question)}."


def _mode(question: Question) -> str | None:
    """The host's `healing_mode` is not off."""
    if question.host is None or question.host.policy.mode != Mode.OFF:
        return None
    return f"healing_mode is off on {question.host.name}: it is only watched."


def _host_actions(question: Question) -> str | None:
    """The host's `healing_actions` has the action."""
    if question.host is None or question.host.policy.actions is None:
        return None
    listed = question.host.policy.actions
    if question.decision.action in listed:
        return None
    return (
        f"healing_actions on {question.host.name} does not have {question.decision.action} "
        f"(it has: {', '.join(sorted(listed)) or 'nothing'})."
    )


def _host(question: Question) -> str | None:
    """It is known which host this is about."""
    if question.host is not None:
        return None
    return "No host is given, so nothing says what is allowed there."


def _facts(question: Question) -> str | None:
    """The host was asked about everything that the parameters name."""
    name = question.host.name if question.host else "the host"
    if question.facts is None:
        return f"{name} was not inspected yet, so it is not known what the action would touch."
    for value in shapes.values_of(question, ParameterSource.UNIT):
        found = units.facts_of(question, value)
        if found is None or not found.id:
            return f"Inspecting {name} said nothing of the unit {value}."
    for value in shapes.values_of(question, ParameterSource.PATH):
        if paths.facts_of(question, value) is None:
            return f"Inspecting {name} said nothing of the path {value}."
    return None


RULES: tuple[Rule, ...] = (
    Rule(name="stopped", outcome=Outcome.DENIED, objects=_stopped),
    Rule(name="no_action", outcome=Outcome.DENIED, objects=_no_action),
    Rule(name="whitelist", outcome=Outcome.DENIED, objects=shapes.whitelist),
    Rule(name="mode", outcome=Outcome.DENIED, objects=_mode),
    Rule(name="host_actions", outcome=Outcome.DENIED, objects=_host_actions),
    Rule(name="protected_unit", outcome=Outcome.DENIED, objects=units.protected_unit),
    Rule(name="protected_dependency", outcome=Outcome.DENIED, objects=units.protected_dependency),
    Rule(name="unit_state", outcome=Outcome.DENIED, objects=units.unit_state),
    Rule(name="forbidden_path", outcome=Outcome.DENIED, objects=paths.forbidden_path),
    Rule(name="security_record", outcome=Outcome.DENIED, objects=paths.security_record),
    Rule(name="safe_directory", outcome=Outcome.DENIED, objects=paths.safe_directory),
    Rule(name="path_state", outcome=Outcome.DENIED, objects=paths.path_state),
    Rule(name="age", outcome=Outcome.DENIED, objects=history.age),
    Rule(name="attempts", outcome=Outcome.DENIED, objects=history.attempts),
    Rule(name="cooldown", outcome=Outcome.DENIED, objects=history.cooldown),
    Rule(name="budget_host", outcome=Outcome.DENIED, objects=budgets.host_budget),
    Rule(name="budget_action", outcome=Outcome.DENIED, objects=budgets.action_budget),
    Rule(name="budget_fleet", outcome=Outcome.DENIED, objects=budgets.fleet_budget),
    Rule(name="sick_group", outcome=Outcome.DENIED, objects=fleet.sick),
    Rule(name="breaker", outcome=Outcome.DENIED, objects=breaker.failing),
    Rule(name="host", outcome=Outcome.UNKNOWN, objects=_host),
    Rule(name="facts", outcome=Outcome.UNKNOWN, objects=_facts),
    Rule(name="fleet", outcome=Outcome.UNKNOWN, objects=fleet.known),
    Rule(name="window", outcome=Outcome.NEEDS_APPROVAL, objects=leave.window),
    Rule(name="risk", outcome=Outcome.NEEDS_APPROVAL, objects=leave.risk),
    Rule(name="propose", outcome=Outcome.NEEDS_APPROVAL, objects=leave.propose),
    Rule(name="busy", outcome=Outcome.WAITS, objects=fleet.busy),
    Rule(name="probe", outcome=Outcome.WAITS, objects=fleet.probing),
)
