"""The run's own inventory: exactly the permitted hosts, with values that are never templated again.

Ansible's variable manager resolved these values once; a value that looks like a template is text by now
(a password may hold braces), so every string is written as `!unsafe`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from orchestrator.domain.hosts import Host, Secret
from orchestrator.domain.ssh import host_key_arguments
from orchestrator.settings import Settings

#: Variables that are recorded with a run. Everything else may hold a secret (an ssh argument can carry a
#: proxy's password), so it is left out.
RECORDED = frozenset(
    {
        "ansible_become",
        "ansible_become_method",
        "ansible_become_user",
        "ansible_connection",
        "ansible_host",
        "ansible_port",
        "ansible_pipelining",
        "ansible_python_interpreter",
        "ansible_shell_type",
        "ansible_user",
    }
)

#: Ansible's own default for `ansible_ssh_args`, kept where the inventory gives none.
SSH_ARGS = "-C -o ControlMaster=auto -o ControlPersist=60s"
#: A kept connection to a host that went away must not hang a run; the inventory's own values come first.
SSH_EXTRA_ARGS = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"
#: Names that mean the same to Ansible: the first is what we write when none is given.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "password": ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
    "key_file": ("ansible_ssh_private_key_file", "ansible_private_key_file"),
    "become": ("ansible_become",),
    "become_password": ("ansible_become_password", "ansible_become_pass"),
}
_SECRET_WORDS = ("pass", "secret", "token", "private_key", "credential", "api_key")
#: Letters: a shorter one can't be told from ordinary text, so it is not blacked out of events.
_SHORTEST_SECRET = 4


def variables(host: Host, settings: Settings) -> dict[str, Any]:
    """The host's variables for a run: what the inventory says, and what we insist on."""
    given = {key: value for key, value in host.variables.items() if key.startswith("ansible_")}
    connection = host.connection
    wanted: dict[str, Any] = {
        "address": connection.address if connection.address != host.name else None,
        # 22 is also what "nothing said" looks like, and then ~/.ssh/config may know better.
        "port": connection.port if connection.port != 22 else None,
        "user": connection.user,
        "password": connection.password,
        "key_file": connection.key_file,
        "become": connection.become or None,
        "become_password": connection.become_password,
    }
    for field, names in _ALIASES.items():
        if wanted[field] is not None and not any(name in given for name in names):
            given[names[0]] = wanted[field]
    given["ansible_connection"] = connection.kind
    # ssh takes the first value of an option, and Ansible puts ansible_ssh_args first of all arguments.
    given["ansible_host_key_checking"] = True
    given["ansible_ssh_host_key_checking"] = True
    if connection.kind == "local":
        # The controller's own Python is known to work; Ansible would look for another one on PATH.
        given.setdefault("ansible_python_interpreter", sys.executable)
    else:
        keys = shlex.join(host_key_arguments(connection, settings.known_hosts))
        own = given.get("ansible_ssh_args") or SSH_ARGS
        given["ansible_ssh_args"] = f"{keys} {_config_argument(settings)}{own}"
        extra = str(given.get("ansible_ssh_extra_args") or "")
        given["ansible_ssh_extra_args"] = f"{extra} {SSH_EXTRA_ARGS}".strip()
    return given


def _config_argument(settings: Settings) -> str:
    """`-F` where the ssh_config setting is not the file that ssh reads by itself; a host's own -F wins."""
    home = settings.child_environment.get("HOME", "")
    usual = str(settings.ssh_config) == f"{home}/.ssh/config"
    return "" if usual or not settings.ssh_config.is_file() else f"-F {shlex.quote(str(settings.ssh_config))} "


def render(hosts: Sequence[Host], settings: Settings) -> str:
    """The inventory as YAML; the same hosts and settings give the same text."""
    return dump({"all": {"hosts": {host.name: variables(host, settings) for host in hosts}}})


def dump(data: Mapping[str, Any]) -> str:
    """YAML whose strings Ansible takes as they are: nothing in them is templated."""
    return yaml.dump(_unsafe(data), Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=10_000)


def recorded(host: Host, settings: Settings) -> dict[str, Any]:
    """The variables that the record may keep."""
    return {key: value for key, value in variables(host, settings).items() if key in RECORDED}


def secrets(hosts: Sequence[Host], settings: Settings) -> tuple[str, ...]:
    """Every secret string of the hosts, longest first: what must not stand in any record."""
    found = {text for host in hosts for text in _secret_texts("", variables(host, settings), secret=False)}
    found |= {text for host in hosts for text in _secret_texts("", host.variables, secret=False)}
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST_SECRET), key=lambda s: (-len(s), s)))


def _secret_texts(name: str, value: Any, *, secret: bool) -> Iterator[str]:
    # A key *file* is a path, and a path is no secret.
    named = any(word in name.lower() for word in _SECRET_WORDS) and not name.endswith("_file")
    secret = secret or named or isinstance(value, Secret)
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secret_texts(str(key), item, secret=secret)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_texts("", item, secret=secret)
    elif secret and isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)


class _Text(str):
    """A string value, to be written as `!unsafe`."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    return dumper.represent_scalar("!unsafe", str(text), style='"')


_Dumper.add_representer(_Text, _represent)


def _unsafe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _unsafe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_unsafe(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _Text(str(value))
