"""Which journal records are our own sessions': by trusted fields, and never what a service writes."""

from __future__ import annotations

import pytest

from orchestrator.collect.login import Login
from orchestrator.collect.ownership import is_own

US = Login(uid=1000, user="healer", source="198.18.0.1", unit="session-7.scope")
ROOT = Login(uid=0, user="root", source="198.18.0.1")
HERE = Login(uid=1000, user="healer", unit="healer.service")
SSHD = {"_SYSTEMD_UNIT": "ssh.service", "_COMM": "sshd", "_UID": "0"}
SESSION = {"_SYSTEMD_UNIT": "session-7.scope", "_COMM": "sudo", "_UID": "0"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({**SESSION, "_AUDIT_LOGINUID": "1000"}, "pam_unix(sudo:auth): failed", id="sudo, by audit"),
        pytest.param({**SESSION, "_SYSTEMD_OWNER_UID": "1000"}, "failed", id="sudo, by the session's owner"),
        pytest.param(
            {**SESSION, "_COMM": "python3", "_AUDIT_LOGINUID": "1000"}, "ansible failed", id="Ansible's module"
        ),
        pytest.param(SSHD, "Failed publickey for healer from 198.18.0.1 port 5 ssh2", id="sshd names our user"),
        pytest.param(SSHD, "error: session_exit_message: 198.18.0.1 port 22", id="sshd names our address"),
        pytest.param(
            {**SSHD, "_SYSTEMD_UNIT": "sshd@3-a.service", "_COMM": "sshd-session"},
            "Invalid user healer from x",
            id="a socket's sshd",
        ),
        pytest.param({**SSHD, "_COMM": "sudo", "_UID": "0"}, "sudo failed", id="a session without logind and audit"),
        pytest.param({**SSHD, "_COMM": "sh", "_UID": "1000"}, "ERROR", id="our shell below sshd"),
        pytest.param({"_SYSTEMD_UNIT": "user@1000.service", "_COMM": "systemd"}, "failed", id="our user's manager"),
    ],
)
def test_our_own_sessions_are_ours(fields: dict[str, str], message: str) -> None:
    assert is_own(fields, message, fields["_SYSTEMD_UNIT"], US)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"_SYSTEMD_UNIT": "nginx.service", "_UID": "1000"}, "ERROR of healer", id="a service of our user"),
        pytest.param(
            {"_SYSTEMD_UNIT": "nginx.service", "_AUDIT_LOGINUID": "1000"}, "ERROR", id="a service that we restarted"
        ),
        pytest.param({**SESSION, "_AUDIT_LOGINUID": "1001"}, "failed", id="another's session"),
        pytest.param({**SESSION, "_SYSTEMD_OWNER_UID": "1001"}, "failed", id="another's session without audit"),
        pytest.param({**SESSION, "_COMM": "cron", "_AUDIT_LOGINUID": "1000"}, "failed", id="our user's cron"),
        pytest.param(SSHD, "Failed password for bob from 203.0.113.5 port 9", id="sshd of somebody else"),
        pytest.param(
            SSHD, "Failed password for invalid user admin from 198.18.0.1", id="another user from our address"
        ),
        pytest.param(SSHD, "fatal: bad configuration", id="sshd of itself"),
        pytest.param({"_SYSTEMD_UNIT": "evil-sshd.service", "_COMM": "sshd"}, "for healer", id="a unit of such a name"),
        pytest.param({"_SYSTEMD_UNIT": "user@1000.service", "_COMM": "shop"}, "ERROR", id="a service of our manager"),
        pytest.param({}, "ERROR healer 198.18.0.1", id="nothing that is trusted"),
    ],
)
def test_what_others_write_is_not_ours(fields: dict[str, str], message: str) -> None:
    assert not is_own(fields, message, fields.get("_SYSTEMD_UNIT", ""), US)


@pytest.mark.parametrize(
    ("unit", "ours"),
    [
        ("session-7.scope", True),
        ("session-c1.scope", True),
        ("user@1000.service", True),
        ("user@1001.service", False),
        ("nginx.service", False),
        ("", False),
    ],
)
def test_pid_1_speaks_of_our_sessions_or_of_units(unit: str, ours: bool) -> None:
    assert is_own({"_PID": "1", "_SYSTEMD_UNIT": "init.scope"}, "Failed", unit, US) == ours


def test_a_login_as_root_owns_no_service_of_root() -> None:
    assert not is_own({"_SYSTEMD_UNIT": "nginx.service", "_UID": "0"}, "ERROR", "nginx.service", ROOT)
    assert is_own({**SSHD, "_COMM": "bash"}, "failed", "ssh.service", ROOT)


@pytest.mark.parametrize(("unit", "ours"), [("healer.service", True), ("nginx.service", False), ("", False)])
def test_on_the_controller_only_our_own_unit_is_ours(unit: str, ours: bool) -> None:
    assert is_own({"_SYSTEMD_UNIT": unit}, "ERROR", unit, HERE) == ours
    assert not is_own({"_SYSTEMD_UNIT": ""}, "ERROR", "", Login(uid=0, user="root"))
