"""What a chooser may pick for an incident: actions with closed lists of values, taken from the evidence.

No value is ever made up or free text. A name or path counts only in a program's own words, never in a
request, a quoted comment or a user's name, so that a stranger can't put a value on the list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from orchestrator.domain.actions import Action, Candidate, Parameter, ParameterSource, compiled
from orchestrator.domain.records import LogRecord
from orchestrator.domain.speech import named_paths, own_words, said_path

#: Values that one parameter may offer; more is a listing, not a finding.
VALUES_MAX = 8

#: systemd.unit(5)'s alphabet without the backslash: a unit with an escaped name is left to a person.
_UNIT = re.compile(r"(?!-)[A-Za-z0-9:_.@-]{1,255}", re.ASCII)
_NAMED_UNIT = re.compile(
    r"(?<![\w/.@:\\-])([A-Za-z0-9][\w:.@-]{0,127}\.(?:service|socket|timer))(?![\w-]|\.\w)", re.ASCII
)
#: Units whose records speak of other things: they are no value of their own accord.
_NO_SERVICE = re.compile(
    r"(?i)|kernel|unknown|-|.*\.(?:scope|slice|target|mount|automount|swap|device)|user@.*|init|systemd"
)
_CARRIES = re.compile(r"(?i)(?:cron|crond|anacron|atd)(?:\.service)?")


def short_unit(unit: str) -> str:
    """`nginx.service` -> `nginx`; other kinds keep their suffix."""
    return unit.removesuffix(".service")


def candidates(
    actions: Sequence[Action],
    unit: str,
    records: Sequence[LogRecord],
    units_on_host: Collection[str] | None,
) -> tuple[Candidate, ...]:
    """Each action that the evidence has values for, in the order of `actions`.

    `unit` is the incident's. `units_on_host`: units known to exist there, with or without suffix; None: not
    known, so names come from the lines alone. An action with a required parameter of no value is left out; one with
    values for an optional parameter is there twice, last with all of them.
    """
    said = tuple(dict.fromkeys(own_words(record.message) for record in records))
    existing = None if units_on_host is None else {short_unit(name) for name in units_on_host}
    found = []
    for action in actions:
        values = {}
        for parameter in action.parameters:
            offered = tuple(_offered(action, parameter, unit, said, existing))[:VALUES_MAX]
            if offered:
                values[parameter.name] = offered
        required = {parameter.name for parameter in action.parameters if parameter.required}
        if required <= values.keys():
            if required < values.keys():
                # Without what is optional the action means something else.
                plain = {name: offered for name, offered in values.items() if name in required}
                found.append(Candidate(action=action.id, values=plain))
            found.append(Candidate(action=action.id, values=values))
    return tuple(found)


def _offered(
    action: Action, parameter: Parameter, unit: str, said: Sequence[str], existing: set[str] | None
) -> Iterator[str]:
    unique: dict[str, None] = {}
    # Newest last: what was said last is the likeliest, so it comes first.
    for words in reversed(said):
        for value in captures(action, parameter.name, words):
            unique.setdefault(value)
    if parameter.source in (ParameterSource.PATH, ParameterSource.FILE_SYSTEM):
        for words in reversed(said):
            unique.update(dict.fromkeys(named_paths(words)))
        normal = (said_path(value) for value in unique)
        yield from dict.fromkeys(value for value in normal if value)
        return
    if parameter.source == ParameterSource.UNIT:
        own = _own(unit, said)
        named = (name for words in reversed(said) for name in _NAMED_UNIT.findall(words))
        captured = (as_unit(value, unit) for value in unique)
        names = dict.fromkeys(short_unit(name) for name in (*own, *captured, *named) if is_service(name))
        yield from (name for name in names if existing is None or name in existing)


def _own(unit: str, said: Sequence[str]) -> tuple[str, ...]:
    """The incident's own unit, where it is one that can be sick itself."""
    if not is_service(unit):
        return ()
    if _CARRIES.fullmatch(unit) and not any(words.startswith(f"{short_unit(unit)}.service: ") for words in said):
        return ()
    return (unit,)


def as_unit(captured: str, unit: str) -> str:
    """The unit that a captured name means: prose writes Redis and MySQL, their units have no capital."""
    same = short_unit(captured) == short_unit(unit) or captured.endswith((".service", ".socket", ".timer"))
    return short_unit(captured) if same else captured.lower()


def is_service(name: str) -> bool:
    """Whether a name is a plain unit that an action could be about."""
    return _UNIT.fullmatch(name) is not None and not _NO_SERVICE.fullmatch(name)


def captures(action: Action, name: str, words: str) -> Iterator[str]:
    """What the action's own patterns capture or mean for a parameter; patterns that don't hold give none."""
    for pattern in action.patterns:
        known = pattern.values.get(name, ())
        names_it = f"(?P<{name}>" in pattern.match
        if not (known or names_it) or not pattern.holds(words):
            continue
        match = compiled(pattern.match).search(words)
        value = match.group(name) if match and names_it else None
        yield from (value,) if value else known
