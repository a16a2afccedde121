"""What a parameter may look like before anybody asks a host about it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from orchestrator.domain.actions import ParameterSource
from orchestrator.guard.question import Question

#: systemd.unit(5): letters, digits, ":-_.\" and "@"; 255 characters. The backslash only as its \xHH escape,
#: and first a letter, digit or "_": a "-" would be read as an option, a "." as a folder. Globs such as "*" are outside
#: of the alphabet.
_UNIT = re.compile(r"(?=[A-Za-z0-9_])(?:[A-Za-z0-9:_.@-]|\\x[0-9a-f]{2}){1,255}", re.ASCII)
#: What needs no quoting anywhere: no blank, quote, glob, brace (Jinja), "$", ";", "&", "|", "<", ">", control
#: character or anything outside ASCII. A file of another name is left to a person.
_PATH = re.compile(r"/[A-Za-z0-9._+@:,=%~/-]+", re.ASCII)
_PATH_MAX = 1024

#: What systemctl accepts at the end of a unit's name; without one it means ".service".
UNIT_SUFFIXES = (
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".device",
    ".slice",
    ".scope",
)


def full_unit(name: str) -> str:
    """The name as systemctl completes it: without a known suffix it is a service."""
    return name if name.endswith(UNIT_SUFFIXES) else f"{name}.service"


def is_unit(value: str) -> bool:
    """Whether systemd could know a unit of this name."""
    return _UNIT.fullmatch(value) is not None and len(full_unit(value)) <= 255


def is_path(value: str) -> bool:
    """Whether it is an absolute, normalised path of harmless characters."""
    return (
        len(value) <= _PATH_MAX
        and _PATH.fullmatch(value) is not None
        # normpath keeps a leading "//", which POSIX leaves to the system's own meaning.
        and not value.startswith("//")
        and posixpath.normpath(value) == value
    )


def values_of(question: Question, source: ParameterSource) -> Iterator[str]:
    """Values of the decision's parameters that come from `source`, in the action's order."""
    for parameter in question.action.parameters if question.action else ():
        value = question.decision.parameters.get(parameter.name)
        if parameter.source == source and value is not None:
            yield value


def whitelist(question: Question) -> str | None:
    """The action is on the whitelist, with exactly its parameters, each of the right shape."""
    decision, action = question.decision, question.action
    if action is None or action.id != decision.action:
        return f"There is no action {decision.action[:80]!r} on the whitelist; nothing else may be run."
    declared = {parameter.name: parameter for parameter in action.parameters}
    for name in sorted(decision.parameters.keys() - declared.keys()):
        return f"{action.id} takes no parameter {name[:80]!r}."
    for parameter in action.parameters:
        value = decision.parameters.get(parameter.name)
        if value is None:
            if parameter.required:
                return f"{action.id} needs its parameter {parameter.name}, and none was chosen."
            continue
        # The type says str; what came through JSON may say otherwise, and nothing but a string has a shape.
        if not isinstance(value, str) or not _well_formed(value, parameter.source):
            return (
                f"The value {str(value)[:80]!r} of {action.id}'s parameter {parameter.name} is not a plain "
                f"{_SHAPES.get(parameter.source, 'value')}."
            )
    return None


_SHAPES = {
    ParameterSource.UNIT: "unit name (systemd's own letters only)",
    ParameterSource.PATH: "absolute path (normalised, without blanks, quotes or shell characters)",
    ParameterSource.FILE_SYSTEM: "absolute path (normalised, without blanks, quotes or shell characters)",
}


def _well_formed(value: str, source: ParameterSource) -> bool:
    if source == ParameterSource.UNIT:
        return is_unit(value)
    # A source that is not known here has no shape, so nothing of it passes.
    return source in (ParameterSource.PATH, ParameterSource.FILE_SYSTEM) and is_path(value)
