"""Which journal records our own sessions caused. By trusted fields alone (those that begin with `_`).

A record that is called ours opens no incident, so the rules must not reach what services write: only login sessions,
sshd's words about us, and what PID 1 says of our session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.collect.login import Login

_SSHD = re.compile(r"sshd?(?:@.*)?\.service|sshd?(?:@.*)?\.socket")
_SCOPE = re.compile(r"session-[\w-]+\.scope")
#: In audit's own words: never logged in.
_NOBODY = "4294967295"
_CRON = frozenset({"cron", "crond", "CROND", "anacron", "atd"})
_NAMED_USER = re.compile(r"(?:for invalid user|for user|for|user)\s+(?!connection\b|invalid\b)([A-Za-z_][\w.-]*)")


def is_own(fields: Mapping[str, str], message: str, unit: str, login: Login) -> bool:
    """Whether the record comes from an SSH, sudo, PAM or Ansible session of ours.

    `fields` are the record's trusted ones; `unit` is the unit that it speaks of, as the journal parser found it.
    """
    cgroup, command = fields.get("_SYSTEMD_UNIT", ""), fields.get("_COMM", "")
    if fields.get("_PID") == "1":
        return _SCOPE.fullmatch(unit) is not None or unit in _managers(login)
    if not login.source:
        # The controller itself: what healing-bot and its children write is never a reason to heal.
        return bool(login.unit) and cgroup == login.unit
    sshd = _SSHD.fullmatch(cgroup) is not None
    if sshd and command.startswith("sshd") and not _is_user(fields, login):
        return _speaks_of_us(message, login)
    if _SCOPE.fullmatch(cgroup) or sshd:
        return command not in _CRON and _is_user(fields, login, unknown=sshd)
    return cgroup in _managers(login) and command in ("systemd", "(sd-pam)", "(systemd)")


def _managers(login: Login) -> tuple[str, str]:
    return f"user@{login.uid}.service", f"user-runtime-dir@{login.uid}.service"


def _is_user(fields: Mapping[str, str], login: Login, *, unknown: bool = False) -> bool:
    """By the login that audit remembers through sudo; without audit by the process' owner."""
    audited = fields.get("_AUDIT_LOGINUID", _NOBODY)
    if audited != _NOBODY:
        return audited == str(login.uid)
    owner = fields.get("_SYSTEMD_OWNER_UID")
    if owner is not None:
        return owner == str(login.uid)
    # sshd's own processes below are root's; under another's login the owner differs, or can't be told from root.
    uid = fields.get("_UID")
    return unknown and not fields.get("_COMM", "").startswith("sshd") and uid in (str(login.uid), "0")


def _speaks_of_us(message: str, login: Login) -> bool:
    words = set(re.split(r"[\s\[\]()=,;:']+", message))
    named = _NAMED_USER.search(message)
    if named is not None:
        return named[1] == login.user
    return login.user in words or login.source in re.split(r"[\s\[\]()=,;']+", message)
