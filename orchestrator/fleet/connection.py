"""How to reach a host, from `ansible_*` variables: the aliases and precedence of Ansible's own ssh plugin."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from orchestrator.domain.hosts import Connection
from orchestrator.domain.ssh import parse_ssh_arguments
from orchestrator.fleet.reading import Variables

#: Names that mean the same, in Ansible's order: the last one that is set counts.
_ADDRESS = ("ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_PASSWORD = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
_BECOME_PASSWORD = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
#: A key as text instead of a file, which collect does not load.
_INLINE_KEYS = ("ansible_private_key", "ansible_ssh_private_key")

_KINDS = {
    "ssh": "ssh",
    "smart": "ssh",
    "ansible.builtin.ssh": "ssh",
    "local": "local",
    "ansible.builtin.local": "local",
}

#: No blank, and no leading `-`, which ssh would read as an option. `%` and `:` are for IPv6.
_ADDRESS_SHAPE = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,254}", re.ASCII)
_USER_SHAPE = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,254}")


def read_connection(known: Variables) -> Connection:
    """The connection of one host. Raises InventoryError: host, variable, what is accepted.

    Port and user that stand only in the ssh arguments (`-p`, `-l`, `-o Port=`) count as the host's own.
    """
    for inline in _INLINE_KEYS:
        if known.has(inline):
            known.wrong(inline, f"can't be used; accepted: {_KEY_FILE[-1]}, the path of a key")
    arguments = _arguments(known)
    connection = Connection(
        kind=_kind(known),
        address=_address(known),
        user=_user(known),
        key_file=_key_file(known),
        ssh_arguments=arguments,
    )
    options = parse_ssh_arguments(arguments)
    port, password = known.last(_PORT), known.last(_PASSWORD)
    return replace(
        connection,
        port=known.whole(port, 1, 65535) if port else options.port or 22,
        user=connection.user or options.user,
        password=known.secret(password) if password else None,
        become=_become(known),
        become_password=known.secret(name) if (name := known.last(_BECOME_PASSWORD)) else None,
    )


def _kind(known: Variables) -> str:
    name = "ansible_connection"
    if not known.has(name):
        return "ssh"
    kind = _KINDS.get(str(known.values[name]))
    if kind is None:
        known.wrong(name, f"is {known.values[name]!r}; accepted: ssh, local")
    return kind


def _address(known: Variables) -> str:
    # Without a variable the inventory's name is the address, as in Ansible.
    name = known.last(_ADDRESS)
    if name is None:
        return known.host
    address = known.text(name, "a host name or address")
    if not _ADDRESS_SHAPE.fullmatch(address):
        known.wrong(name, f"is {address!r}; accepted: a host name or address, without port, blank or leading -")
    return address


def _user(known: Variables) -> str | None:
    name = known.last(_USER)
    if name is None:
        return None
    user = known.text(name, "a login name")
    if not _USER_SHAPE.fullmatch(user):
        known.wrong(name, f"is {user!r}; accepted: a login name without blanks or leading -")
    return user


def _key_file(known: Variables) -> str | None:
    name = known.last(_KEY_FILE)
    return known.text(name, "the path of a private key on the controller") if name else None


def _become(known: Variables) -> bool:
    if not known.has("ansible_become") or not known.flag("ansible_become"):
        return False
    # Collect reads journals as root through sudo. Another way up, or another user than root, would read
    # with rights that the inventory does not give.
    method = known.values.get("ansible_become_method", "sudo")
    if method not in ("sudo", "ansible.builtin.sudo"):
        known.wrong("ansible_become_method", f"is {method!r}; accepted: sudo")
    for name in ("ansible_become_user", "ansible_sudo_user"):
        if known.values.get(name, "root") != "root":
            known.wrong(name, f"is {known.values[name]!r}; accepted: root")
    return True


def _arguments(known: Variables) -> tuple[str, ...]:
    words: list[str] = []
    for name in _ARGUMENTS:
        value = known.values.get(name)
        if value is None or value == "":
            continue
        accepted = "ssh arguments as on a command line, in one string"
        try:
            words += shlex.split(known.text(name, accepted))
        except ValueError as error:
            known.wrong(name, f"can't be split: {error}; accepted: {accepted}")
    return tuple(words)
