"""The real server: listens, answers, stops, and says why it can't."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.main import create_app
from api.serve import Server
from orchestrator import app, settings
from orchestrator.errors import ConfigError
from orchestrator.settings import Settings
from tests.api.conftest import Stage


def test_it_listens_answers_and_gives_the_port_back(stage: Stage) -> None:
    server = Server(create_app(stage.state()), "127.0.0.1", 0)
    server.start()
    port = server.port
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
    finally:
        server.stop()
        server.stop()

    assert answer.json() == {"status": "success"}
    assert "server" not in answer.headers
    assert not [thread for thread in threading.enumerate() if thread.name == "api"]
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_no_answer_waits_for_the_clients_kernel(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []
    ordinary = socket.socket.accept

    def accept(listening: socket.socket) -> Any:
        connection, address = ordinary(listening)
        accepted.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", accept)
    server = Server(create_app(stage.state()), "127.0.0.1", 0)
    server.start()
    try:
        httpx.get(f"http://127.0.0.1:{server.port}/healthz")
    finally:
        server.stop()

    assert accepted == [1]


def test_a_taken_port_is_a_sentence(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*api_port"):
            Server(create_app(stage.state()), "127.0.0.1", port).start()


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "healer")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "chain.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_it_speaks_tls_with_the_certificate_that_it_is_given(stage: Stage, tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    server = Server(create_app(stage.state()), "127.0.0.1", 0, tls=files)
    server.start()
    try:
        trusted = ssl.create_default_context(cafile=str(files[0]))
        answer = httpx.get(f"https://127.0.0.1:{server.port}/healthz", verify=trusted)
    finally:
        server.stop()

    assert answer.json() == {"status": "success"}


@pytest.mark.parametrize(("proxies", "seen"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.9")])
def test_a_forwarded_address_is_believed_of_named_proxies_alone(stage: Stage, proxies: str, seen: str) -> None:
    server = Server(create_app(stage.state()), "127.0.0.1", 0, proxies=proxies)
    server.start()
    try:
        headers = {"x-forwarded-for": "203.0.113.9", "authorization": "Bearer wrong"}
        httpx.get(f"http://127.0.0.1:{server.port}/api/incidents", headers=headers)
    finally:
        server.stop()

    assert [event.data["address"] for event in stage.store.events() if event.kind == "api.refused"] == [seen]


def set_up(tmp_path: Path, **changed: Any) -> Settings:
    return replace(settings.load(None, {}), state_dir=tmp_path, config_file=tmp_path / "healer.toml", **changed)


def test_what_others_reach_is_opened_only_with_tls(tmp_path: Path) -> None:
    self_signed(tmp_path)
    app.require_access(set_up(tmp_path))
    app.require_access(set_up(tmp_path, api_host="::1"))
    app.require_access(set_up(tmp_path, api_host="0.0.0.0", api_certificate="chain.pem", api_key="key.pem"))
    app.require_access(set_up(tmp_path, api_host="0.0.0.0", api_url="https://healer.example.org"))
    for plain in ("", "http://healer.example.org"):
        with pytest.raises(ConfigError, match="in the clear"):
            app.require_access(set_up(tmp_path, api_host="0.0.0.0", api_url=plain))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"api_url": "healer.example.org"}, "api_url.*https://"),
        ({"api_url": "ftp://healer.example.org"}, "api_url"),
        ({"api_url": "https://healer.example.org/x"}, "api_url"),
        ({"api_url": "https://user@healer.example.org"}, "api_url"),
        ({"api_url": "https://[::1"}, "api_url"),
        ({"api_proxies": "192.0.2.7, proxy"}, "api_proxies.*'proxy'"),
        ({"api_certificate": "chain.pem"}, "api_key: there is no file"),
        ({"api_certificate": "gone.pem", "api_key": "key.pem"}, "api_certificate: there is no file"),
        ({"api_certificate": "key.pem", "api_key": "key.pem"}, "can't be used together"),
        ({"api_certificate": "chain.pem", "api_key": "open.pem"}, "chmod 600"),
    ],
)
def test_a_setting_of_the_api_that_cannot_be_is_a_sentence(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    key = self_signed(tmp_path)[1]
    (tmp_path / "open.pem").write_bytes(key.read_bytes())
    (tmp_path / "open.pem").chmod(0o644)

    with pytest.raises(ConfigError, match=said):
        app.require_access(set_up(tmp_path, **changed))
