"""What works on a host and how to fix what does not, one sentence each. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.collect import passes
from orchestrator.collect.connection import Connections
from orchestrator.collect.fileloop import open_loop, problem_of
from orchestrator.collect.link import Link
from orchestrator.collect.login import Login
from orchestrator.domain.hosts import Host
from orchestrator.domain.ssh import parse_ssh_arguments
from orchestrator.errors import HealingError, HostKeyMismatch
from orchestrator.ports import Check

#: Seconds. Beyond it ages are still right, as they are corrected, but the host's own logs mislead people.
_CLOCK = 2.0


def examine(connections: Connections, host: Host) -> tuple[Check, ...]:
    """Everything about one host; never raises."""
    return tuple(_examine(connections, host))


def _examine(connections: Connections, host: Host) -> Iterator[Check]:
    def check(what: str, ok: bool | None, text: str, fix: str = "") -> Check:  # a line reads as a table
        return Check(name=f"{host.name} {what}", ok=ok, text=text, fix=fix)

    for argument in parse_ssh_arguments(host.connection.ssh_arguments).unsupported:
        yield check(
            "ssh arguments",
            ok=None,
            text=f"{argument} is not honoured when logs are read; Ansible's own connection does honour it",
            fix="take it out of ansible_ssh_*args, or make sure that the host is reached without it",
        )
    try:
        link, login = connections.ask(host, fresh=True)
    except HealingError as error:
        what = "host key" if isinstance(error, HostKeyMismatch) else "ssh"
        yield check(what, ok=False, text=str(error), fix="")
        return
    way = "local" if host.connection.kind == "local" else f"key known, logged in from {login.source}"
    yield check("ssh", ok=True, text=f"{login.user} ({way})")
    near = abs(login.clock_offset) <= _CLOCK
    yield check(
        "clock",
        ok=near,
        text=f"{login.clock_offset:+.3f} s against ours; ages are corrected by it",
        fix="" if near else "set the host's clock: timedatectl set-ntp true",
    )
    yield _sudo(host, login)
    python = bool(login.python)
    yield check(
        "python",
        ok=python,
        text=login.python or "no python3 there, which Ansible needs",
        fix="" if python else "apt-get install python3",
    )
    problem = passes.journal_problem(host.name, login)
    how = "through sudo" if login.journal_root else f"as {login.user}"
    search = "" if login.grep else "; its journalctl can't search (no PCRE2), so a grep beside it does"
    fix = f"usermod -aG systemd-journal {login.user}" if problem else ""
    yield check("journal", ok=not problem, text=problem or f"read {how}{search}", fix=fix)
    yield from _files(link, login)


def _sudo(host: Host, login: Login) -> Check:
    name = f"{host.name} sudo"
    if login.sudo is None:
        text = "not asked for (ansible_become is not set)"
        return Check(name=name, ok=True if login.uid == 0 else None, text=text, fix="set ansible_become: true")
    if login.sudo:
        return Check(name=name, ok=True, text="works without a password", fix="")
    asks = "password" in login.sudo_words
    return Check(
        name=name,
        ok=False,
        text=f"sudo asks {login.user} for a password" if asks else f"sudo does not work: {login.sudo_words}",
        fix=f"with visudo on the host: {login.user} ALL=(ALL:ALL) NOPASSWD: ALL" if asks else "install and allow sudo",
    )


def _files(link: Link, login: Login) -> Iterator[Check]:
    host = link.host
    if not host.log_files:
        return
    try:
        loop, states = open_loop(link, login)
        loop.close()
    except HealingError as error:
        yield Check(name=f"{host.name} log files", ok=None, text=str(error), fix="")
        return
    for index, file in enumerate(host.log_files):
        problem = problem_of(file, states[index], login)
        text, _, fix = problem.partition(": ")
        yield Check(
            name=f"{host.name} {file.path}",
            ok=not problem,
            text=text or f"{states[index].size} bytes, read as {file.unit}",
            fix=fix.rstrip("."),
        )
