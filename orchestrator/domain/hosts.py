"""Hosts: inventory entries with the variables that Ansible itself resolved for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.domain.actions import Risk
from orchestrator.domain.windows import Window


class Secret(str):
    """A string that never shows itself in a repr, a log or an error."""

    def __repr__(self) -> str:
        return "Secret(***)"


class Mode(StrEnum):
    """What healing-bot may do on a host (`healing_mode`)."""

    #: Decide and ask; act only after a person approved. The default.
    PROPOSE = "propose"
    #: Act when policy allows it.
    AUTO = "auto"
    #: Watch only.
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """How to reach a host, resolved from `ansible_*` variables."""

    #: `ssh` or `local`.
    kind: str
    address: str
    port: int = 22
    #: None: what ~/.ssh/config or the running user gives.
    user: str | None = None
    key_file: str | None = None
    password: Secret | None = None
    become: bool = False
    become_password: Secret | None = None
    #: Arguments of ansible_ssh_args, _common_args and _extra_args, split as a shell would, in that order.
    ssh_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFile:
    """One entry of `healing_log_files`."""

    path: str
    unit: str


class Permit(StrEnum):
    """What an action may do beyond its ordinary reach where a host's policy says so."""

    #: The kernel's caches of files may be dropped; no action uses it yet.
    DROP_PAGE_CACHE = "drop_page_cache"
    #: kill_zombie_process may restart the service whose main process does not reap its children.
    RESTART_ZOMBIE_PARENT = "restart_zombie_parent"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPolicy:
    """What `healing_*` variables allow on a host. Every default is the careful one."""

    mode: Mode = Mode.PROPOSE
    #: Actions allowed here; None: all of the catalogue.
    actions: frozenset[str] | None = None
    #: Units protected here on top of the built-in ones.
    protected_services: frozenset[str] = frozenset()
    safe_directories: tuple[str, ...] = ("/usr/local/bin", "/var/log", "/opt", "/home")
    permits: frozenset[Permit] = frozenset()
    #: The riskiest action that is done without a person.
    max_risk: Risk = Risk.MEDIUM
    #: Outside of all of them a person is asked; None: no windows, it is always open.
    windows: tuple[Window, ...] | None = None
    #: Attempts per host + signature, and per host + action + parameters, over a rolling 24 h.
    max_attempts: int = 3
    #: Seconds between two attempts of the same kind on the host.
    cooldown_seconds: float = 60.0
    #: Seconds; older records open no healing.
    max_age_seconds: float = 300.0
    #: Seconds of silence before `healed`; None: the action's own.
    hold_seconds: float | None = None
    #: Who may answer questions about the host, such as `cli:ann` or `api:pager`; None: whoever may answer at all.
    approvers: frozenset[str] | None = None
    #: Whoever asked for a healing may not approve it.
    four_eyes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One entry of the Ansible inventory."""

    name: str
    groups: tuple[str, ...]
    connection: Connection
    policy: HostPolicy = field(default_factory=HostPolicy)
    log_files: tuple[LogFile, ...] = ()
    #: The resolved `ansible_*` variables, for a run's own inventory. May hold secrets: never recorded.
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: Where each `healing_*` variable was set: file and line, as far as Ansible knows.
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
