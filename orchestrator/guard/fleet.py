"""How much of the fleet may be in healing at once, in which order hosts get their turn, and when all must stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from orchestrator.domain.fleet import ALL, FleetState, Place
from orchestrator.domain.verdicts import Outcome
from orchestrator.guard import breaker
from orchestrator.guard.question import Question


def known(question: Question) -> str | None:
    """It is known what the rest of the fleet does."""
    return None if question.fleet is not None else "It is not known what is being done on the other hosts."


def sick(question: Question) -> str | None:
    """No group is sick by so much that its hosts can't each have a fault of their own."""
    fleet = question.fleet
    if fleet is None:
        return None
    ill = fleet.sick | ({question.host.name} if question.host else frozenset())
    for group, many, hosts in sick_groups(fleet, ill):
        return (
            f"{many} of {hosts} hosts of group {group} are sick at once; fleet_sick_percent is "
            f"{fleet.limits.sick_percent}. They have a cause in common, and nothing acts on any host while that lasts: "
            "a person must look for it."
        )
    return None


def sick_groups(fleet: FleetState, ill: frozenset[str]) -> Iterator[tuple[str, int, int]]:
    """Each group that is too sick for anything to act: its name, how many of its hosts are ill, and of how many."""
    for group, hosts in sorted(fleet.groups.items()):
        many = len(hosts & ill)
        if len(hosts) >= fleet.limits.sick_least and 100 * many > fleet.limits.sick_percent * len(hosts):
            yield group, many, len(hosts)


def busy(question: Question) -> str | None:
    """Fewer hosts are in healing than may be at once, of the fleet and of each group, and older ones went first."""
    if question.fleet is None or question.host is None:
        return None
    return _full(question.fleet, question.host.name, _ahead(question))


def probing(question: Question) -> str | None:
    """Where a breaker waits to be proven wrong, nothing else is tried meanwhile."""
    if question.fleet is None:
        return None
    tried = [one.action for one in _ahead(question)]
    return breaker.probing(question.fleet, question.decision.action, question.now, tried)


def turns(fleet: FleetState, now: datetime) -> tuple[str, ...]:
    """The incidents among those told to wait that are to be judged again, oldest first."""
    return tuple(one.incident_id for one in _let_in(fleet, now))


def _ahead(question: Question) -> list[Place]:
    """Who is in healing once older incidents that wait have had their turn."""
    fleet = question.fleet or FleetState()
    others = [one for one in fleet.places if one.incident_id != fleet.incident_id]
    older = [one for one in others if one.admitted or one.incident_id < fleet.incident_id]
    ahead = replace(fleet, places=tuple(older))
    return [*_admitted(ahead), *_let_in(ahead, question.now)]


def _let_in(fleet: FleetState, now: datetime) -> list[Place]:
    """Those that wait and whose turn it is."""
    taken = _admitted(fleet)
    first = len(taken)
    for one in fleet.places:
        if one.outcome is not Outcome.WAITS or _full(fleet, one.host, taken):
            continue
        if breaker.probing(fleet, one.action, now, [other.action for other in taken]) is None:
            taken.append(one)
    return taken[first:]


def _admitted(fleet: FleetState) -> list[Place]:
    return [one for one in fleet.places if one.admitted]


def _full(fleet: FleetState, host: str, others: Iterable[Place]) -> str | None:
    limits = fleet.limits
    # Its own slot is its own: whatever held it has to let go before it acts.
    taken = ({one.host for one in others} | fleet.held) - {host}
    if len(taken | {host}) > limits.hosts_max:
        return f"{_listed(taken)} in healing; fleet_hosts_max is {limits.hosts_max}. {host} waits for its turn."
    for group, hosts in sorted(fleet.groups.items()):
        most = max(1, len(hosts) * limits.group_percent // 100)
        if group != ALL and host in hosts and len((taken & hosts) | {host}) > most:
            return (
                f"{_listed(taken & hosts)} in healing of group {group}; fleet_group_percent is {limits.group_percent}, "
                f"which is {most} of its {len(hosts)} hosts. {host} waits for its turn."
            )
    return None


def _listed(hosts: set[str]) -> str:
    names = sorted(hosts)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
