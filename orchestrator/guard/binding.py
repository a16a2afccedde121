"""What a person's answer is bound to, and what of it has changed since they were asked. Pure.

Two kinds of parts: digests of what would run, and what matters of the host's state as text. What the trouble itself
moves (whether a unit is failed or activating, how many links a folder has) is left out: it would void every answer, and
policy and the check look at it anyway, right before the act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.domain.verdicts import Approval, Facts, PathFacts, UnitFacts

#: Digests, in the order in which a person is told of them: part -> what changed.
_DIGESTS: Mapping[str, str] = {
    "playbook": "the playbook of {action} changed",
    "role": "the role {action} changed",
    "parameters": "the parameters changed",
    "hosts": "the host list changed",
    "policy": "what the inventory allows {action} on {host} changed",
    "inventory": "how the inventory reaches {host} changed",
}
#: What matters of a unit: the field, how it is read, and what is said where it changed.
_UNIT: Mapping[str, tuple[Callable[[UnitFacts], str], str]] = {
    "id": (lambda unit: unit.id, "{name} is another unit now: {new} (before: {old})"),
    "load_state": (lambda unit: unit.load_state, "{name} is {new} now (before: {old})"),
    "required_by": (
        lambda unit: " ".join(sorted(unit.required_by)),
        "other units would stop with {name} now: {new} (before: {old})",
    ),
}
#: The same of a path. Where it leads comes first: what is gone or is another thing needs no more words.
_PATH: Mapping[str, tuple[Callable[[PathFacts], str], str]] = {
    "realpath": (lambda path: path.realpath, "{name} leads to {new} now (before: {old})"),
    "type": (lambda path: path.type, "{name} is of another type now: {new} (before: {old})"),
    "owner": (lambda path: path.owner, "{name} belongs to {new} now (before: {old})"),
    "group": (lambda path: path.group, "{name} has the group {new} now (before: {old})"),
    "mode": (lambda path: path.mode, "{name} has the mode {new} now (before: {old})"),
}


def parts(digests: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """All that an answer is bound to: digests of what would run, and state as `unit:NAME:FIELD`, `path:NAME:FIELD`."""
    bound = dict(digests)
    for name, unit in facts.units.items():
        bound |= {f"unit:{name}:{field}": read(unit) for field, (read, _) in _UNIT.items()}
    for name, path in facts.paths.items():
        bound |= {f"path:{name}:{field}": read(path) for field, (read, _) in _PATH.items()}
    return bound


def why_void(approval: Approval, digest: str, now: Mapping[str, str]) -> str:
    """One sentence that names what changed since it was asked; '' where it is all as it was.

    `digest` and `now`: what would run now, whole and by parts. A question without parts, of an older version, is bound
    to its digest alone.
    """
    said = _changes(approval, now) if approval.parts else []
    if not said and approval.digest != digest:
        said = ["playbook, role, parameters or host variables changed"]
    return f"Since it was asked, {'; '.join(said)}." if said else ""


def _changes(approval: Approval, now: Mapping[str, str]) -> list[str]:
    changed = {key for key in (*approval.parts, *now) if approval.parts.get(key) != now.get(key)}
    of_host = {key for key in changed if key.startswith(("unit:", "path:"))}
    named = {"action": approval.action, "host": approval.host}
    said = [words.format(**named) for part, words in _DIGESTS.items() if part in changed]
    said += [f"{part} changed" for part in sorted(changed - of_host - set(_DIGESTS))]
    return said + [
        _of_thing(thing, approval, now, of_host) for thing in sorted({key.rpartition(":")[0] for key in of_host})
    ]


def _of_thing(thing: str, approval: Approval, now: Mapping[str, str], changed: set[str]) -> str:
    """What is said of one unit or path: of all that changed, the first that matters."""
    kind, _, name = thing.partition(":")
    fields = _UNIT if kind == "unit" else _PATH
    field = next((one for one in fields if f"{thing}:{one}" in changed), "")
    old, new = approval.parts.get(f"{thing}:{field}", "not looked at"), now.get(f"{thing}:{field}", "not known")
    there = f"{name} on {approval.host}"
    if field == "realpath" and not new:
        return f"{there} is gone"
    if field == "realpath" and old == name:
        return f"{there} is now a link to {new}"
    words = fields[field][1] if field else "{name} changed"
    return words.format(name=there, old=old or "nothing", new=new or "nothing")
