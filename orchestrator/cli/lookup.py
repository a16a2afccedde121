"""What a person types for an id: the whole, or a beginning that only one has."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.domain.incidents import Incident
from orchestrator.domain.outbreaks import Outbreak
from orchestrator.domain.runs import Run
from orchestrator.domain.verdicts import Approval
from orchestrator.errors import ConfigError
from orchestrator.ports import Store

#: The newest ones, among which a beginning is looked for.
NEWEST = 10_000


def incident(store: Store, given: str) -> Incident:
    """Raises ConfigError where there is none, or several."""
    found = store.incident(given)
    if found is not None:
        return found
    known = {one.id: one for one in store.incidents(limit=NEWEST)}
    return known[_one("incident", given, known)]  # type: ignore[index]  # ids are strings


def run(store: Store, given: str) -> Run:
    """Raises ConfigError where there is none, or several."""
    found = store.run(given)
    if found is not None:
        return found
    known = {one.id: one for one in store.runs(limit=NEWEST)}
    return known[_one("run", given, known)]  # type: ignore[index]  # ids are strings


def outbreak(store: Store, given: str) -> Outbreak:
    """Raises ConfigError where there is none, or several."""
    found = store.outbreak(given)
    if found is not None:
        return found
    known = {one.id: one for one in store.outbreaks(limit=NEWEST)}
    return known[_one("outbreak", given, known)]


def approval(store: Store, given: str) -> Approval:
    """Raises ConfigError where there is none, or several."""
    found = store.approval(given)
    if found is not None:
        return found
    known = {one.id: one for one in store.approvals(limit=NEWEST)}
    return known[_one("approval", given, known)]


def _one(what: str, given: str, known: Iterable[str]) -> str:
    found = [one for one in known if given and one.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} {what}s begin with {given}: {', '.join(found[:5])}. Give more of it.")
    raise ConfigError(f"There is no {what} {given}. `healer {what}s list` shows them.")
