"""Ways to a real host: keys, agent, password, bastions, and what is said where one is barred."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.collect.connection import Connections
from orchestrator.collect.doctor import examine
from orchestrator.domain.hosts import Host, Secret
from orchestrator.errors import HealingError, HostAuthRefused, HostKeyMismatch, HostTimeout, HostUnreachable
from orchestrator.settings import Settings
from tests.support.collect_stage import entry, settings_in

pytestmark = pytest.mark.lab


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def reached(host: Host, settings: Settings) -> str:
    """The name that the host itself has, asked over a connection of its own."""
    connections = Connections(settings)
    try:
        return connections.get(host).run("echo $(hostname) $(id -un)").text.strip()
    finally:
        connections.close()


def refusal(host: Host, settings: Settings, kind: type[HealingError]) -> str:
    with pytest.raises(kind) as caught:
        reached(host, settings)
    return str(caught.value)


@pytest.fixture
def key(lab: Lab, tmp_path: Path) -> Path:
    """A copy of the lab's key that a test may spoil."""
    copy = tmp_path / "key"
    shutil.copy(lab.key, copy)
    copy.chmod(0o600)
    return copy


@contextmanager
def sshd(lab: Lab, options: str) -> Iterator[None]:
    """A second sshd of web1, on port 2222."""
    lab.execute("web1", f"mkdir -p /run/sshd; /usr/sbin/sshd -p 2222 -o PidFile=/run/second.pid {options}")
    try:
        yield
    finally:
        lab.execute("web1", "kill $(cat /run/second.pid); while test -e /run/second.pid; do sleep 0.02; done")


@pytest.fixture
def agent(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An agent that holds the lab's key."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        while not Path(path).exists():
            assert process.poll() is None
        environment = {"PATH": os.defpath, "SSH_AUTH_SOCK": path}
        subprocess.run(["ssh-add", "-q", str(lab.key)], env=environment, check=True, timeout=10)
        yield path
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.mark.parametrize("how", ["-J", "ProxyJump", "ProxyCommand", "config", "config command"])
def test_a_host_behind_a_bastion_is_reached_through_it(lab: Lab, settings: Settings, how: str) -> None:
    bastion = entry(lab, "web1").connection.address
    # The jump itself logs in by the config's key: the inventory's is for the host alone, as with ssh.
    jump = f"Host {bastion} bastion\n  HostName {bastion}\n  IdentityFile {lab.key}\n"
    command = (
        f"ssh -F {settings.ssh_config} -o UserKnownHostsFile={lab.known_hosts} -o BatchMode=yes "
        f"-W [%h]:%p healer@{bastion}"
    )
    arguments, further = {
        "-J": (("-J", f"healer@{bastion}:22"), ""),
        "ProxyJump": (("-o", f"ProxyJump=healer@{bastion}"), ""),
        "ProxyCommand": (("-o", f"ProxyCommand={command}"), ""),
        "config": ((), "Host web2\n  ProxyJump healer@bastion\n"),
        "config command": ((), f"Host web2\n  ProxyCommand {command}\n"),
    }[how]
    settings.ssh_config.write_text(jump + further)
    # This name means something only on the bastion.
    host = entry(lab, "web2", address="web2")
    own = host.connection.ssh_arguments
    host = replace(host, connection=replace(host.connection, ssh_arguments=(*own, *arguments)))

    assert reached(host, settings) == "web2 healer"


def test_the_config_file_gives_address_user_and_key_and_an_argument_may_name_another_one(
    lab: Lab, settings: Settings, tmp_path: Path
) -> None:
    given = entry(lab, "web3")
    text = f"Host shop\n  HostName {given.connection.address}\n  User healer\n  IdentityFile {lab.key}\n"
    settings.ssh_config.write_text(text)
    other = tmp_path / "other"
    other.write_text(text.replace("Host shop", "Host else"))
    bare = replace(given, connection=replace(given.connection, user=None, key_file=None, address="shop"))
    arguments = ("-F", str(other), *given.connection.ssh_arguments)

    assert reached(bare, settings) == "web3 healer"
    assert (
        reached(
            replace(bare, connection=replace(bare.connection, address="else", ssh_arguments=arguments)),
            settings,
        )
        == "web3 healer"
    )


def test_an_unknown_bastion_is_named_before_any_login(lab: Lab, settings: Settings) -> None:
    bastion = entry(lab, "web1").connection.address
    host = entry(lab, "web2", address="web2", ssh_arguments=("-J", f"healer@{bastion}"))

    said = refusal(host, settings, HostKeyMismatch)

    assert f"{bastion}:22, the way to web2, is not in {settings.known_hosts} as {bastion}" in said
    assert said.endswith(f"ssh-keyscan -p 22 {bastion} >> {settings.known_hosts}")


def test_a_proxy_command_that_fails_is_named(lab: Lab, settings: Settings) -> None:
    host = entry(lab, "web2", ssh_arguments=("-o", "ProxyCommand=/nonexistent %h"))

    said = refusal(host, settings, HostUnreachable)

    assert "proxy command" in said
    assert "/nonexistent" in said


def test_an_agent_key_lets_us_in(lab: Lab, settings: Settings, agent: str) -> None:
    assert reached(entry(lab, "web1", key_file=None), settings) == "web1 healer"


def test_a_password_lets_us_in_and_a_wrong_one_is_a_clear_refusal(lab: Lab, settings: Settings, tmp_path: Path) -> None:
    known = tmp_path / "known"
    address = entry(lab, "web1").connection.address
    (line,) = [line for line in lab.known_hosts.read_text().splitlines() if f"{address} " in line]
    known.write_text(f"[{address}]:2222 {line.split(' ', 1)[1]}\n")
    host = entry(
        lab,
        "web1",
        port=2222,
        key_file=None,
        password=Secret("s3kret"),
        ssh_arguments=("-o", f"UserKnownHostsFile={known}"),
    )
    wrong = replace(host, connection=replace(host.connection, password=Secret("hunter2")))

    with sshd(lab, "-o PasswordAuthentication=yes -o UsePAM=no"):
        lab.execute("web1", "echo healer:s3kret | chpasswd")
        try:
            assert reached(host, settings) == "web1 healer"
            said = refusal(wrong, settings, HostAuthRefused)
        finally:
            lab.execute("web1", "usermod -p '*' healer")

    assert f"web1 ({address}:2222) refused the login of healer; tried: the password." in said
    assert "hunter2" not in said


def test_a_refused_login_says_what_was_tried_and_the_way_out(lab: Lab, settings: Settings) -> None:
    host = entry(lab, "web1", user="nobody")

    said = refusal(host, settings, HostAuthRefused)

    assert f"refused the login of nobody; tried: {lab.key}." in said
    assert "Put our public key into nobody's authorized_keys" in said


def test_a_key_that_others_may_read_is_refused_as_ssh_does(lab: Lab, settings: Settings, key: Path) -> None:
    key.chmod(0o644)

    said = refusal(entry(lab, "web1", key_file=str(key)), settings, HostAuthRefused)

    assert said == f"web1: the key {key} has mode 0644, so others may read it and ssh refuses it. Fix: chmod 600 {key}"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda key: key.unlink(), "can't be read: No such file or directory."),
        (lambda key: key.write_text("no key\n"), "is no private key that can be used"),
        (
            lambda key: subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True),
            "is encrypted. Load it into an agent first: ssh-add ",
        ),
    ],
    ids=["missing", "no key", "encrypted"],
)
def test_a_key_that_can_not_be_used_is_named(
    lab: Lab, settings: Settings, key: Path, spoil: object, words: str
) -> None:
    spoil(key)  # type: ignore[operator]

    said = refusal(entry(lab, "web1", key_file=str(key)), settings, HostAuthRefused)

    assert said.startswith(f"web1: the key {key} ")
    assert words in said


@pytest.mark.parametrize("marker", ["", "@revoked "])
def test_a_key_that_is_not_the_known_one_ends_it_before_the_login(
    lab: Lab, settings: Settings, tmp_path: Path, marker: str
) -> None:
    host = entry(lab, "web1", ssh_arguments=())
    address = host.connection.address
    keys = {line.split()[0].split(",")[1]: line.split()[1:] for line in lab.known_hosts.read_text().splitlines()}
    shown = keys[address] if marker else next(key for at, key in keys.items() if at != address)
    settings.known_hosts.write_text(f"{marker}{address} {' '.join(shown)}\n")

    said = refusal(host, settings, HostKeyMismatch)

    assert said.startswith(f"web1 ({address}:22) shows a")
    words = "is marked @revoked" if marker else "Compare on the host, then: healer trust web1 --replace"
    assert words in said


def test_an_unknown_host_is_named_with_its_fingerprint_and_the_way_out(lab: Lab, settings: Settings) -> None:
    own = lab.execute("web1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key").stdout.split()[1]
    host = entry(lab, "web1", ssh_arguments=("-o", "StrictHostKeyChecking=no"))

    said = refusal(host, settings, HostKeyMismatch)

    assert f"is not in {settings.known_hosts} as {host.connection.address}: its ssh-ed25519 key {own}." in said
    assert said.endswith("healer trust web1")


def test_addresses_that_lead_nowhere_are_one_clear_sentence(lab: Lab, settings: Settings) -> None:
    quick = replace(settings, connect_timeout_seconds=0.5)
    host = entry(lab, "web1")

    def at(address: str, port: int = 22) -> Host:
        return replace(host, connection=replace(host.connection, address=address, port=port))

    assert "Nothing listens at web1 " in refusal(at(host.connection.address, 3), settings, HostUnreachable)
    assert "can't be looked up" in refusal(at("no.such.host.invalid"), settings, HostUnreachable)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert f"web1 (127.0.0.1:{port}) did not finish the SSH handshake in time." in refusal(
            at("127.0.0.1", port), quick, HostTimeout
        )


def test_doctor_names_an_argument_that_can_not_be_honoured(lab: Lab, settings: Settings) -> None:
    host = entry(lab, "web1")
    odd = replace(
        host, connection=replace(host.connection, ssh_arguments=(*host.connection.ssh_arguments, "-o", "Ciphers=x"))
    )
    connections = Connections(settings)

    lines = examine(connections, odd)

    connections.close()
    (line,) = [one for one in lines if one.name == "web1 ssh arguments"]
    assert line.ok is None
    assert line.text.startswith("-o Ciphers=x is not honoured")
