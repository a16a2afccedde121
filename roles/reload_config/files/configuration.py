"""Whether a service runs on the configuration that lies on the disk, and whether it may be told to read that.

Usage: python3 -I - UNIT PATTERN...

PATTERN: units that are never touched, as shell patterns of names without suffix and instance. Answers one JSON object:
`id`, `why` (nothing may be done, or it can't be told; empty: neither), `stale` (what is newer on the disk than what
runs, in words), `unit_file` (systemd must read it) and `service` (it must reload).
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

#: A name that is neither an option, a path nor a pattern for systemctl; \\Z as `$` lets a newline pass.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,250}\Z")
PROPERTIES = (
    "Id,Names,LoadState,ActiveState,NeedDaemonReload,CanReload,ConfigurationDirectory,ReloadResult,"
    "ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic"
)
#: What changes nothing in a configuration: editors' and package managers' copies.
LEFTOVERS = ("*~", "*.swp", "*.dpkg-*", "*.rpmnew", "*.rpmsave", "*.bak", "*.orig", ".*", "#*#")
#: The service's own test of its configuration, by its name without suffix and instance.
TESTS = {
    "nginx": ("nginx", "-t", "-q"),
    "apache2": ("apachectl", "configtest"),
    "httpd": ("apachectl", "configtest"),
    "named": ("named-checkconf",),
    "bind9": ("named-checkconf",),
    "haproxy": ("haproxy", "-c", "-q", "-f", "/etc/haproxy/haproxy.cfg"),
    "unbound": ("unbound-checkconf",),
    "postfix": ("postfix", "check"),
    "dovecot": ("doveconf", "-n"),
    "prometheus": ("promtool", "check", "config", "/etc/prometheus/prometheus.yml"),
}
#: Where the package of a name keeps its configuration elsewhere than in /etc/NAME.
FOLDERS = {"named": "bind", "bind9": "bind"}
#: Files that are looked at; a folder with more is no configuration of one service.
MOST = 5000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Exit code and output; 124: it took too long, 127: there is no such program."""
    try:
        done = subprocess.run(
            ["env", f"PATH={PATH}", "LC_ALL=C", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"it took longer than {seconds:g} s"
    except OSError:
        return 127, ""
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def shown(text: str) -> str:
    """One line that every terminal and log can take."""
    return "".join(one if one.isprintable() else "?" for one in text)[:300]


def stem(name: str) -> str:
    """A unit's name without suffix and instance, in small letters."""
    base = name.rpartition(".")[0] if "." in name else name
    return base.partition("@")[0].lower()


def protected(names: Iterable[str], patterns: Sequence[str]) -> str:
    """The first of these units that is never touched; empty: none is."""
    for name in names:
        if any(fnmatch.fnmatchcase(one.lower(), each.lower()) for each in patterns for one in (stem(name), name)):
            return name
    return ""


def places(told: dict[str, str]) -> list[str]:
    """Where the service's configuration lies, by its own word, its name and its package's."""
    name = stem(told["Id"])
    found = [f"/etc/{one}" for one in told.get("ConfigurationDirectory", "").split() if ".." not in one]
    version = re.fullmatch(r"php([\d.]+)-fpm", name)
    if version:
        found.append(f"/etc/php/{version[1]}/fpm")
    return [*found, f"/etc/{FOLDERS.get(name, name)}", f"/etc/{name}.conf", f"/etc/{name}.d"]


def files(place: str) -> Iterable[str]:
    """The files of a place; links are not followed into other folders."""
    if os.path.isfile(place):
        yield place
        return
    seen = 0
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MOST:
                return
            if not any(fnmatch.fnmatchcase(name, one) for one in LEFTOVERS):
                yield os.path.join(folder, name)


def newer(told: dict[str, str]) -> list[str]:
    """Files that were changed after the service last started or was told to reload."""
    booted = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    # A reload that failed changes the state too, and nothing else.
    last = "StateChange" if told.get("ReloadResult", "success") == "success" else "ActiveEnter"
    since = booted + int(told.get(f"{last}TimestampMonotonic") or 0) / 1e6
    found = set()
    for place in places(told):
        for path in files(place):
            try:
                if os.stat(path).st_mtime > since:
                    found.add(path)
            except OSError:
                continue
    return sorted(found)


def broken(name: str) -> str:
    """What the service's own test says against its configuration; empty: nothing, or it has no test."""
    # Debian's packages have a version in their names, Fedora's have none.
    version = re.fullmatch(r"php([\d.]*)-fpm", name)
    command = (f"php-fpm{version[1]}", "-t") if version else TESTS.get(name)
    if command is None:
        return ""
    code, said = run(command, 8)
    if code in (0, 127):
        return ""
    lines = [line for line in said.splitlines() if line.strip()]
    telling = next((line for line in lines if re.search(r"(?i)emerg|error|fail|invalid|unknown|syntax", line)), "")
    return f"{' '.join(command)} says: {shown(telling or (lines[0] if lines else f'exit {code}'))}"


def look(unit: str, patterns: Sequence[str]) -> dict[str, Any]:
    """The answer."""
    if not NAME.match(unit):
        return answer("", why=f"this is no name of a unit: {shown(unit)[:80]}")
    _, said = run(["systemctl", "show", "--all", f"--property={PROPERTIES}", "--", unit], 8)
    told = {line.partition("=")[0]: line.partition("=")[2] for line in said.splitlines()}
    own = told.get("Id", unit)
    if told.get("LoadState") != "loaded":
        return answer(own, why=f"systemd has no loaded unit {unit} ({told.get('LoadState', 'no answer')})")
    name = protected([unit, own, *told.get("Names", "").split()], patterns)
    changed = newer(told) if told["ActiveState"] == "active" and own.endswith(".service") else []
    unit_file = told["NeedDaemonReload"] == "yes"
    if name:
        why = f"{own} is protected (as {name})"
    elif told["ActiveState"] != "active" and not unit_file:
        why = f"{own} is {told['ActiveState']}, so it can't reload"
    elif changed and told["CanReload"] != "yes":
        why = f"{own} can't reload, and a reload must not become a restart"
    else:
        why = broken(stem(own)) if changed else ""
    return answer(own, why=why, unit_file=unit_file, changed=changed)


def answer(own: str, *, why: str, unit_file: bool = False, changed: Sequence[str] = ()) -> dict[str, Any]:
    """Of the unit of that id."""
    stale = [*(["its unit file"] if unit_file else []), *(shown(one) for one in changed[:5])]
    return {"id": own, "why": why, "stale": stale, "unit_file": unit_file, "service": bool(changed)}


if __name__ == "__main__":
    json.dump(look(sys.argv[1], sys.argv[2:]), sys.stdout)
