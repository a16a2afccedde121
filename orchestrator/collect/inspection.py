"""What the guard needs to know of units and paths: one shell script, and its answer as facts. Pure.

Fails closed: a name that systemd could not know, a path that is not absolute and plain, or an answer that is not
understood gives facts under which nothing is allowed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from posixpath import normpath

from orchestrator.domain.verdicts import Facts, PathFacts, UnitFacts

#: systemd.unit(5): no shell pattern, no blank, no slash.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_SUFFIXES = tuple(
    f".{kind}"
    for kind in "service socket target timer path mount automount swap slice scope device".split()  # noqa: SIM905
)
#: No control character: lines and NULs separate what the script prints.
_PATH = re.compile(r"/[^\x00-\x1f\x7f]{0,4095}")
#: How far the units that require a unit are followed.
_DEPTH = 5

_PROPERTIES = "Id,Names,LoadState,ActiveState,SubState,RefuseManualStart,Type,TriggeredBy"
#: Units that stop, or are restarted, when this one is. A property that an older systemd lacks is left out there.
_REVERSE = "RequiredBy,RequisiteOf,BoundBy,ConsistsOf,PropagatesStopTo"
#: What a service declares of its own folders, and below what they lie.
OWN_FOLDERS = {"LogsDirectory": "/var/log", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
_DECLARED = f"LoadState,User,DynamicUser,{','.join(OWN_FOLDERS)}"

_FUNCTIONS = rf"""
LC_ALL=C; export LC_ALL; set -f
reverse() {{
  systemctl show --property={_REVERSE} --value -- "$@" 2>/dev/null | tr -s ' ' '\n' | sed '/^$/d' | sort -u
}}
unit() {{
  printf 'U %s\0' "$1"
  systemctl show --property={_PROPERTIES} -- "$2" 2>/dev/null; printf '\0'
  seen=$2; todo=$2; depth=0
  while [ -n "$todo" ] && [ "$depth" -lt {_DEPTH} ]; do
    found=$(reverse $todo)
    todo=$(printf '%s\n' "$found" | grep -vxF -e "$seen" | sed '/^$/d')
    seen=$(printf '%s\n%s' "$seen" "$todo"); depth=$((depth + 1))
  done
  printf '%s\0' "$seen"
}}
declared() {{
  printf 'D\0'; systemctl show --property={_DECLARED} -- '*.service' 2>/dev/null; printf '\0'
}}
path() {{
  real=$(readlink -e -- "$2" 2>/dev/null; printf x); real=${{real%x}}; real=${{real%?}}
  printf 'P %s\0%s\0' "$1" "$real"
  if [ -n "$real" ]; then stat --printf='%F\t%U\t%G\t%a\t%h\t%u' -- "$real" 2>/dev/null; fi; printf '\0'
  if [ -z "$real" ] && [ -L "$2" ]; then printf 'dangling'; fi; printf '\0'
  for start in "$2" "$real"; do
    way=$start
    while [ -n "$way" ] && [ "$way" != / ]; do
      way=$(dirname -- "$way"; printf x); way=${{way%x}}; way=${{way%?}}
      stat -L --printf='%u\t%a\t%U\t%n\n' -- "$way" 2>/dev/null
    done
  done
  printf '\0'
}}
"""


def build_script(units: Sequence[str], paths: Sequence[str]) -> str:
    """The script that asks for all of them at once; what has no valid name is not asked for."""
    lines = [f"unit {at} {shlex.quote(_full(unit))}" for at, unit in enumerate(units) if is_unit(unit)]
    lines += ["declared"] if any(map(is_path, paths)) else []
    lines += [f"path {at} {shlex.quote(path)}" for at, path in enumerate(paths) if is_path(path)]
    return _FUNCTIONS + "\n".join([*lines, "printf 'E\\0'"])


def is_unit(name: str) -> bool:
    """Whether systemd could know a unit of this name."""
    return _UNIT.fullmatch(name) is not None and not name.startswith("-") and len(_full(name)) <= 255


def is_path(path: str) -> bool:
    """Whether it is an absolute, normalised path without control characters."""
    return _PATH.fullmatch(path) is not None and normpath(path) == path


def _full(name: str) -> str:
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def parse(answer: bytes, units: Sequence[str], paths: Sequence[str]) -> Facts:
    """The answer as facts, for every unit and path that was asked. Raises ValueError for an answer that is none."""
    fields = answer.decode("utf-8", "surrogateescape").split("\0")
    if fields[-2:] != ["E", ""]:
        raise ValueError("the answer has no end")
    unit_facts = {name: _unknown_unit(name) for name in units}
    path_facts = {path: PathFacts(asked=path, realpath="", type="missing") for path in paths}
    keepers: dict[str, set[str]] = {}
    at = 0
    while fields[at] != "E":
        kind, _, index = fields[at].partition(" ")
        if kind == "U":
            name = units[int(index)]
            unit_facts[name] = _unit_facts(name, fields[at + 1], fields[at + 2])
            at += 3
        elif kind == "D":
            keepers = _keepers(fields[at + 1])
            at += 2
        elif kind == "P":
            path = paths[int(index)]
            real, status, dangling, way = fields[at + 1 : at + 5]
            path_facts[path] = _path_facts(path, real, status, dangling, way, keepers)
            at += 5
        else:
            raise ValueError(f"the answer has an unknown part {fields[at][:40]!r}")
    return Facts(units=unit_facts, paths=path_facts)


def _unknown_unit(name: str) -> UnitFacts:
    return UnitFacts(asked=name, id=name, names=(name,), load_state="invalid", active_state="", sub_state="")


def _unit_facts(name: str, shown: str, reverse: str) -> UnitFacts:
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if not told.get("Id") or not told.get("LoadState"):
        return _unknown_unit(name)
    own = {_full(name), told["Id"], *told.get("Names", "").split()}
    return UnitFacts(
        asked=name,
        id=told["Id"],
        names=tuple(told.get("Names", "").split()),
        load_state=told["LoadState"],
        active_state=told.get("ActiveState", ""),
        sub_state=told.get("SubState", ""),
        required_by=tuple(sorted(set(reverse.split()) - own)),
        refuse_manual_start=told.get("RefuseManualStart") == "yes",
        job=told.get("Type", "oneshot") == "oneshot" or ".timer" in told.get("TriggeredBy", ""),
    )


def _keepers(shown: str) -> dict[str, set[str]]:
    """Folder -> the users of the loaded services that declare it as their own."""
    keepers: dict[str, set[str]] = {}
    for block in shown.split("\n\n"):
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if told.get("LoadState") == "loaded" and told.get("DynamicUser") == "no":
            for key, root in OWN_FOLDERS.items():
                for name in told.get(key, "").split():
                    keepers.setdefault(f"{root}/{name}", set()).add(told.get("User") or "root")
    return keepers


def _path_facts(
    path: str, real: str, status: str, dangling: str, way: str, keepers: Mapping[str, set[str]]
) -> PathFacts:
    fields = status.split("\t")
    if not real or len(fields) != 6:
        # A link to nowhere, or something that we may not look at, is something; what is not there is missing.
        return PathFacts(asked=path, realpath="", type="other" if dangling or real else "missing")
    kind, owner, group, mode, links, uid = fields
    kinds = {"regular file": "file", "regular empty file": "file", "directory": "directory"}
    return PathFacts(
        asked=path,
        realpath=real,
        type=kinds.get(kind, "other"),
        owner=owner,
        group=group,
        mode=mode.zfill(4),
        links=int(links),
        writable_parent=_writable(way, {"0", uid}, keepers),
    )


def _writable(way: str, allowed: set[str], keepers: Mapping[str, set[str]]) -> str:
    """The first directory that anybody else can write, sticky or not: they could put another file in the way.

    A service's own folder is its user's: what he may gain by that is for the action to judge, on open descriptors.
    """
    for line in way.splitlines():
        uid, mode, owner, name = [*line.split("\t", 3), "", "", ""][:4]
        theirs = uid not in allowed and keepers.get(name) != {owner}
        if theirs or not mode.isdigit() or int(mode, 8) & 0o022:
            return name or line
    return ""
