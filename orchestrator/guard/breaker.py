"""Nothing acts while most of what was tried fails: one breaker for the fleet, and one for each action.

How a breaker stands is computed anew from recorded attempts each time. So no restart closes it, and none is needed to
open it. It opens when too much of the last attempts failed; after the cool-down one probe at a time is let through,
whose success closes it and whose failure opens it again. A person's reset lets it count from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from orchestrator.domain.fleet import FleetAttempt, FleetLimits, FleetState
from orchestrator.guard.question import Question

#: What the breaker over all actions is called.
FLEET = "of the fleet"


def failing(question: Question) -> str | None:
    """Neither the fleet's breaker nor the action's is open."""
    fleet = question.fleet
    if fleet is None:
        return None
    for scope, attempts in _scopes(fleet, question.decision.action):
        since = opened(attempts, fleet.limits)
        if since is not None and not _cooled(since, question.now, fleet.limits):
            limits = fleet.limits
            return (
                f"More than {limits.failed_percent} % of the last attempts {scope} failed (breaker_failed_percent), so "
                f"nothing like it is tried for {limits.cooldown.total_seconds():.0f} s after {since:%Y-%m-%d %H:%M:%S} "
                "UTC. A person must act; `healer policy reset-breaker` has it count anew."
            )
    return None


def standing(fleet: FleetState, actions: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Whether each breaker is open, by the action's id, `fleet` for the one over all; after its cool-down it still is,
    until a probe has closed it."""
    yield "fleet", opened(_of_fleet(fleet), fleet.limits) is not None
    for action in actions:
        yield action, opened(_of_action(fleet, action), fleet.limits) is not None


def probing(fleet: FleetState, action: str, now: datetime, tried: Collection[str]) -> str | None:
    """Why a probe has to wait: its breaker is half-open, and another is under way. `tried`: what else was let in."""
    for scope, attempts in _scopes(fleet, action):
        since = opened(attempts, fleet.limits)
        if since is None or not _cooled(since, now, fleet.limits):
            continue
        others = tried if scope == FLEET else [one for one in tried if one == action]
        if others or any(one.healed is None and _cooled(since, one.at, fleet.limits) for one in attempts):
            return f"Most attempts {scope} failed, so one probe at a time is tried now, and one is under way."
    return None


def opened(attempts: Iterable[FleetAttempt], limits: FleetLimits) -> datetime | None:
    """When the breaker over these attempts opened last; None: it is closed."""
    since: datetime | None = None
    recent: list[bool] = []
    for one in sorted((one for one in attempts if one.healed is not None), key=_end):
        if since is None:
            recent = [*recent, not one.healed][-limits.failed_last :]
            if len(recent) >= limits.failed_least and 100 * sum(recent) > limits.failed_percent * len(recent):
                since = _end(one)
        elif not one.healed:
            since = max(since, _end(one))
        elif _cooled(since, one.at, limits):
            since, recent = None, []
    return since


def _end(attempt: FleetAttempt) -> datetime:
    return attempt.ended or attempt.at


def _cooled(since: datetime, at: datetime, limits: FleetLimits) -> bool:
    # A clock that went back is before it opened: still open.
    return at - since >= limits.cooldown


def _scopes(fleet: FleetState, action: str) -> Iterator[tuple[str, list[FleetAttempt]]]:
    """Each breaker that an act asks: its words, and the attempts since a person reset it."""
    yield FLEET, _of_fleet(fleet)
    yield f"of {action}", _of_action(fleet, action)


def _of_fleet(fleet: FleetState) -> list[FleetAttempt]:
    reset = fleet.resets.get("")
    return [one for one in fleet.attempts if reset is None or one.at > reset]


def _of_action(fleet: FleetState, action: str) -> list[FleetAttempt]:
    reset = fleet.resets.get(action)
    return [one for one in _of_fleet(fleet) if one.action == action and (reset is None or one.at > reset)]
