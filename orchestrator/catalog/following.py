"""What may follow an action: one of the whitelist, for a unit that died, and not without end."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.catalog.rows import near
from orchestrator.domain.actions import STEPS_MAX, Action, ParameterSource
from orchestrator.errors import CatalogError


def check(actions: Mapping[str, Action]) -> None:
    """Raises CatalogError, naming file and field, where a `follow_up` could not be carried out."""
    for action in actions.values():
        if action.follow_up is not None:
            where = f"{action.folder / 'action.yml'}: follow_up.action"
            _known(where, action.follow_up.action, actions)
            _fillable(where, actions[action.follow_up.action])
    for action in actions.values():
        _ends(action, actions)


def _known(where: str, named: str, actions: Mapping[str, Action]) -> None:
    if named not in actions:
        raise CatalogError(
            f"{where} is {named!r}, which is no action{near(named, actions)}; known are {', '.join(actions)}."
        )


def _fillable(where: str, follower: Action) -> None:
    """Its parameter is the unit that died: nothing else is known of what comes next."""
    required = [one for one in follower.parameters if one.required]
    if [one.source for one in required] != [ParameterSource.UNIT]:
        takes = ", ".join(f"{one.name} ({one.source})" for one in required) or "nothing"
        raise CatalogError(
            f"{where} is {follower.id}, which must be given {takes}; only an action that must be given "
            "exactly one unit can follow, for the unit that died is all that is known."
        )


def _ends(action: Action, actions: Mapping[str, Action]) -> None:
    steps = [action]
    while (following := steps[-1].follow_up) is not None:
        steps.append(actions[following.action])
        way = " -> ".join(one.id for one in steps)
        where = f"{action.folder / 'action.yml'}: follow_up.action"
        if steps[-1] in steps[:-1]:
            raise CatalogError(f"{where} goes in a circle ({way}); a healing must end.")
        if len(steps) > STEPS_MAX:
            raise CatalogError(f"{where} makes a healing of {len(steps)} steps ({way}); {STEPS_MAX} are the most.")
