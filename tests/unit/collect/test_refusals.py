"""paramiko's and the sockets' errors as sentences of ours: none is forgotten."""

from __future__ import annotations

import errno
import inspect
import socket

import paramiko
import paramiko.ssh_exception
import pytest

from orchestrator.collect.connection import _Transport
from orchestrator.collect.refusals import TABLE, translate
from orchestrator.errors import HealingError, HostAuthRefused, HostKeyMismatch, HostTimeout, HostUnreachable

THEIRS = {
    one
    for module in (paramiko, paramiko.ssh_exception, paramiko.pkey, paramiko.hostkeys)
    for _, one in inspect.getmembers(module, inspect.isclass)
    if issubclass(one, Exception) and one.__module__.startswith("paramiko")
}
BUILTIN = {"gaierror", "ConnectionRefusedError", "TimeoutError", "EOFError", "OSError"}


def test_every_exception_of_paramiko_is_translated_by_itself_or_its_base() -> None:
    told = set(TABLE) - BUILTIN
    forgotten = {one.__name__ for one in THEIRS if not told & {base.__name__ for base in one.__mro__}}

    # We transfer no files.
    assert forgotten == {"SFTPError"}


def test_the_table_names_nothing_that_paramiko_does_not_have() -> None:
    assert set(TABLE) - BUILTIN <= {one.__name__ for one in THEIRS}


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            HostUnreachable,
            "can't be looked up: Name or service not known. Check ansible_host.",
        ),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), HostUnreachable, "Nothing listens at"),
        (TimeoutError(), HostTimeout, "did not answer in time"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), HostTimeout, "did not answer in time"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), HostUnreachable, "There is no way to"),
        (OSError(errno.EPIPE, "Broken pipe"), HostUnreachable, "broke: Broken pipe."),
        (EOFError(), HostUnreachable, "hung up"),
        (paramiko.AuthenticationException("Authentication timeout."), HostTimeout, "did not answer in time"),
        (paramiko.AuthenticationException("no"), HostAuthRefused, "refused the login: no. Check ansible_user"),
        (paramiko.BadAuthenticationType("no", ["password"]), HostAuthRefused, "Allow keys there."),
        (paramiko.ChannelException(1, "Administratively prohibited"), HostUnreachable, "AllowTcpForwarding"),
        (paramiko.SSHException("Error reading SSH protocol banner"), HostUnreachable, "no SSH server greets there."),
        (paramiko.SSHException("odd\n  words"), HostUnreachable, "failed: odd words."),
        (paramiko.hostkeys.InvalidHostKey("line", ValueError()), HostKeyMismatch, "known_hosts has a line"),
        (RuntimeError("x" * 1000), HostUnreachable, "broke: xxx"),
    ],
)
def test_an_error_becomes_a_bounded_sentence_with_host_and_address(
    error: Exception, kind: type[HealingError], words: str
) -> None:
    ours = translate(error, "web1", "198.18.0.7:22")

    assert type(ours) is kind
    assert words in str(ours)
    assert "web1 (198.18.0.7:22)" in str(ours)
    assert len(str(ours)) < 500


def test_an_idle_connection_does_not_wake_ten_times_a_second() -> None:
    # A private name of paramiko's: where it is renamed the setting would silently do nothing.
    assert paramiko.Transport._active_check_timeout == 0.1  # type: ignore[attr-defined]
    assert _Transport._active_check_timeout == 5.0
