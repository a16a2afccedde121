"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from orchestrator import settings
from orchestrator.cli.systemd import Supervisor


@pytest.mark.parametrize("abstract", [False, True])
def test_each_word_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@healing-bot-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind("\0" + name[1:] if abstract else name)
        door.settimeout(10)

        Supervisor(name).tell("READY=1", "STATUS=follows 3 hosts")
        Supervisor(name).tell("WATCHDOG=1")

        assert door.recv(1000) == b"READY=1\nSTATUS=follows 3 hosts"
        assert door.recv(1000) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Supervisor("").tell("READY=1")
    assert caplog.text == ""


def test_a_socket_that_is_gone_is_no_reason_to_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Supervisor(str(tmp_path / "gone")).tell("READY=1")
    assert "systemd can't be told" in caplog.text


@pytest.mark.parametrize(
    ("environ", "address", "seconds"),
    [
        ({}, "", 0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "180000000"}, "/run/notify", 180),
        ({"WATCHDOG_USEC": "soon"}, "", 0),
    ],
)
def test_systemd_is_known_by_its_environment(environ: dict[str, str], address: str, seconds: float) -> None:
    loaded = settings.load(environ=environ)
    assert (loaded.notify_socket, loaded.watchdog_seconds) == (address, seconds)


def test_one_that_does_not_listen_keeps_nobody_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestrator.cli.systemd.PATIENCE", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        for _ in range(2000):
            Supervisor(str(tmp_path / "notify")).tell("WATCHDOG=1")
            if caplog.text:
                break

    assert "systemd can't be told ('WATCHDOG=1',): timed out" in caplog.text
