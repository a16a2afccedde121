"""Variables to `Host`: pure, precise, and the only place that knows what each `healing_*` variable accepts.

What is not understood is an error, never a default: a policy with a typo must not be a weaker policy.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from orchestrator.domain.actions import Risk
from orchestrator.domain.hosts import Host, HostPolicy, LogFile, Mode, Permit
from orchestrator.domain.windows import ACCEPTED, Window, read_window
from orchestrator.fleet.connection import read_connection
from orchestrator.fleet.reading import Variables, shown

#: What a host's name may look like: it becomes a key of the store and an entry of a generated inventory,
#: where a leading `-` is an option and `!`, `&`, `,` and `[` are patterns.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}", re.ASCII)
_ACTION = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
#: A unit or a shell pattern over units.
_UNIT = re.compile(r"(?!-)[A-Za-z0-9:_.\\@*?\[\]-]{1,255}", re.ASCII)
#: What fnmatch reads as it was meant: brackets that are closed and hold something; ranges in them.
_PATTERN = re.compile(r"(?:[^\[\]]|\[[^\[\]]+\])+")
_RANGE = re.compile(r"([^\[\]])-([^\[\]])(?=[^\[]*\])")
#: Stars of one pattern: each costs time with every name that it is tried on.
STARS_MAX = 4
#: Who answers, as the ledger names them: by which way in, and who there.
_ACTOR = re.compile(r"api|(?:api|cli|web):[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,62}", re.ASCII)
_UNIT_TYPES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice", ".scope", ".swap")

#: The most attempts that an inventory can allow: three, as the whole of healing-bot promises.
MAX_ATTEMPTS = 3
_DAY = 86_400.0

#: As variables these would outrank what a run sets: host keys are always checked.
_HOST_KEY_SWITCHES = frozenset({"ansible_host_key_checking", "ansible_ssh_host_key_checking"})


def build_host(
    name: str,
    groups: Sequence[str],
    variables: Mapping[str, Any],
    *,
    actions: Collection[str] | None = None,
    origins: Mapping[str, str] | None = None,
) -> Host:
    """The host that these resolved `healing_*` and `ansible_*` variables describe.

    `actions`: ids of the catalogue; None: not known here, any well-formed name passes in `healing_actions`.
    `origins`: where each variable was set, as a person finds it.
    Raises InventoryError: host, variable, what is accepted.
    """
    known = Variables(name, variables, origins)
    if not _NAME.fullmatch(name):
        known.wrong("its name", "can't be used; accepted: letters, digits, `_ . : @ -`, the first no `-`")
    for variable in variables:
        if variable.startswith("healing_") and variable not in KNOWN:
            # Compared without the prefix that all of them share.
            stems = [one.removeprefix("healing_") for one in KNOWN]
            near = get_close_matches(variable.removeprefix("healing_"), stems, n=1)
            hint = f"did you mean healing_{near[0]}?" if near else f"known: {', '.join(KNOWN)}"
            known.wrong(variable, f"is no variable of healing-bot; {hint}")
    return Host(
        name=name,
        groups=tuple(groups),
        connection=read_connection(known),
        policy=_policy(known, actions),
        log_files=_log_files(known) if known.has("healing_log_files") else (),
        variables={
            key: value
            for key, value in variables.items()
            if key.startswith("ansible_") and key not in _HOST_KEY_SWITCHES
        },
        origins={key: place for key, place in (origins or {}).items() if key.startswith("healing_")},
    )


def _policy(known: Variables, actions: Collection[str] | None) -> HostPolicy:
    given: dict[str, Any] = {}
    if known.has("healing_mode"):
        given["mode"] = _mode(known)
    if known.has("healing_actions"):
        given["actions"] = _actions(known, actions)
    if known.has("healing_protected_services"):
        given["protected_services"] = _protected(known)
    if known.has("healing_safe_directories"):
        given["safe_directories"] = _directories(known)
    if known.has("healing_permits"):
        given["permits"] = _permits(known)
    if known.has("healing_max_risk"):
        given["max_risk"] = _risk(known)
    if known.has("healing_windows"):
        given["windows"] = _windows(known)
    if known.has("healing_max_attempts"):
        given["max_attempts"] = known.whole("healing_max_attempts", 1, MAX_ATTEMPTS)
    for field, (low, high) in _SECONDS.items():
        if known.has(f"healing_{field}"):
            given[field] = known.seconds(f"healing_{field}", low, high)
    return HostPolicy(**given, **_answering(known))


#: Fields in seconds, with the least and the most that make sense.
_SECONDS = {"cooldown_seconds": (0, _DAY), "max_age_seconds": (1, _DAY), "hold_seconds": (1, _DAY)}

#: Every variable that healing-bot reads.
KNOWN = (
    "healing_mode",
    "healing_actions",
    "healing_protected_services",
    "healing_safe_directories",
    "healing_permits",
    "healing_max_risk",
    "healing_windows",
    "healing_max_attempts",
    "healing_cooldown_seconds",
    "healing_max_age_seconds",
    "healing_hold_seconds",
    "healing_approvers",
    "healing_four_eyes",
    "healing_log_files",
)


def _mode(known: Variables) -> Mode:
    value = known.values["healing_mode"]
    # YAML reads a bare `off` as false. There is no such reading of the other two.
    if value is False:
        return Mode.OFF
    if isinstance(value, str) and value in set(Mode):
        return Mode(value)
    near = get_close_matches(str(value), list(Mode), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    known.wrong("healing_mode", f"is {value!r}; accepted: propose, auto, off{hint}")


def _actions(known: Variables, actions: Collection[str] | None) -> frozenset[str]:
    variable = "healing_actions"
    names = known.strings(variable, "a list of action names; an empty list allows none")
    for name in names:
        if not _ACTION.fullmatch(name):
            known.wrong(variable, f"holds {name!r}; accepted: names as `healer actions` lists them")
        if actions is not None and name not in actions:
            near = get_close_matches(name, actions, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(actions))}"
            known.wrong(variable, f"holds {name!r}, which is no action; {hint}")
    return frozenset(names)


def _protected(known: Variables) -> frozenset[str]:
    variable, accepted = (
        "healing_protected_services",
        "a list of unit names or shell patterns (`postgresql*`)",
    )
    names = known.strings(variable, accepted)
    for name in names:
        if not _UNIT.fullmatch(name):
            known.wrong(variable, f"holds {name!r}; accepted: {accepted}")
        # fnmatch takes what it can't read for a pattern that nothing fits: the unit would go unprotected.
        if not _PATTERN.fullmatch(name) or any(low > high for low, high in _RANGE.findall(name)):
            known.wrong(
                variable,
                f"holds {name!r}, a pattern that can't be read; accepted: {accepted}, a set in brackets closed and in "
                "order (`[a-f]`)",
            )
        if name.count("*") > STARS_MAX:
            known.wrong(variable, f"holds {name!r}; accepted: {accepted} with at most {STARS_MAX} stars")
    return frozenset(names)


def _risk(known: Variables) -> Risk:
    value = known.values["healing_max_risk"]
    if isinstance(value, str) and value in set(Risk):
        return Risk(value)
    near = get_close_matches(str(value), list(Risk), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    known.wrong("healing_max_risk", f"is {value!r}; accepted: {', '.join(Risk)}{hint}")


def _windows(known: Variables) -> tuple[Window, ...]:
    variable, value = "healing_windows", known.values["healing_windows"]
    # One text is one window: days may have commas between them.
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        known.wrong(variable, f"is {shown(value)}; accepted: a list of windows in {ACCEPTED}")
    if not entries:
        known.wrong(
            variable,
            "is an empty list, so no window would ever open; leave it out to allow every hour, set healing_mode: "
            f"propose or off to allow none; accepted: {ACCEPTED}",
        )
    try:
        return tuple(read_window(entry) for entry in entries)
    except ValueError as error:
        known.wrong(variable, f"{error}; accepted: {ACCEPTED}")


def _directories(known: Variables) -> tuple[str, ...]:
    variable = "healing_safe_directories"
    accepted = "a list of absolute, normalised folders such as /var/log, without /, .. and ~"
    folders = known.strings(variable, accepted)
    for folder in folders:
        if not _is_absolute(folder) or folder == "/":
            known.wrong(variable, f"holds {folder!r}; accepted: {accepted}")
    return tuple(dict.fromkeys(folders))


def _permits(known: Variables) -> frozenset[Permit]:
    variable, accepted = "healing_permits", f"a list of {', '.join(Permit)}"
    names = known.strings(variable, accepted)
    for name in names:
        if name not in set(Permit):
            near = get_close_matches(name, list(Permit), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            known.wrong(variable, f"holds {name!r}; accepted: {accepted}{hint}")
    return frozenset(Permit(name) for name in names)


def _answering(known: Variables) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if known.has("healing_approvers"):
        given["approvers"] = _approvers(known)
    if known.has("healing_four_eyes"):
        given["four_eyes"] = known.flag("healing_four_eyes")
    return given


def _approvers(known: Variables) -> frozenset[str]:
    variable = "healing_approvers"
    accepted = "a list such as cli:ann (a login), api (the token file), api:pager (a token); an empty one lets nobody"
    names = known.strings(variable, accepted)
    for name in names:
        if not _ACTOR.fullmatch(name):
            known.wrong(variable, f"holds {name!r}; accepted: {accepted}")
    return frozenset(names)


def _log_files(known: Variables) -> tuple[LogFile, ...]:
    variable = "healing_log_files"
    accepted = "a list of {path: absolute path of one file, unit: the unit that writes it}"
    entries = known.values[variable]
    if not isinstance(entries, list):
        known.wrong(variable, f"is no list; accepted: {accepted}")
    files: dict[str, LogFile] = {}
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"path", "unit"}:
            known.wrong(variable, f"holds {entry!r}; accepted: {accepted}")
        path, unit = entry["path"], entry["unit"]
        if not isinstance(path, str) or not _is_absolute(path) or path == "/":
            known.wrong(variable, f"has path {path!r}; accepted: {accepted}, no pattern")
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit) or re.search(r"[*?\[\]]", unit):
            known.wrong(variable, f"has unit {unit!r} for {path}; accepted: {accepted}")
        if path in files:
            known.wrong(variable, f"names {path} twice; accepted: each file once")
        # Journal fields carry the full name, and both must meet in one incident.
        full = unit if unit.endswith(_UNIT_TYPES) else f"{unit}.service"
        files[path] = LogFile(path=path, unit=full)
    return tuple(files.values())


def _is_absolute(path: str) -> bool:
    """Absolute, normalised, no glob, no control character: it means one place, the same one everywhere."""
    return (
        path.startswith("/")
        and not path.startswith("//")
        and posixpath.normpath(path) == path
        and not re.search(r"[\x00-\x1f\x7f*?\[\]~]", path)
    )
