"""Scanning and enrolling host keys against real sshds: straight, on another port, changed, behind a bastion."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.fleet import Lab
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ssh import host_key_arguments
from orchestrator.errors import ConfigError, HostKeyMismatch, HostUnreachable
from orchestrator.fleet import trust
from orchestrator.fleet.trust import ScannedKey, Standing
from tests.support.fleets import fleet

pytestmark = pytest.mark.lab

ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with fleet("trust", tmp_path_factory.mktemp("lab"), hosts=2) as made:
        yield made


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A known_hosts that does not exist yet, in a folder that does not either."""
    return tmp_path / "ssh" / "known_hosts"


def address(lab: Lab, host: str) -> str:
    return next(one.address for one in lab.status() if one.name == host)


def entry(to: str, *arguments: str, port: int = 22, **variables: Any) -> Host:
    connection = Connection(kind="ssh", address=to, port=port, user="healer", ssh_arguments=arguments)
    return Host(name="target", groups=(), connection=connection, variables=variables)


def scan(host: Host, known: Path, config: Path | None = None) -> tuple[ScannedKey, ...]:
    return trust.scan(host, known, ssh_config=config, environment=ENVIRONMENT, timeout=10)


def login(lab: Lab, host: Host, known: Path) -> int:
    """Exit code of a real ssh to the host, with the arguments that every connection of ours carries first."""
    done = subprocess.run(
        [
            *("ssh", "-F", "none", *host_key_arguments(host.connection, known), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-i", str(lab.key), "-p", str(host.connection.port)),
            *(f"healer@{host.connection.address}", "true"),
        ],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode


def second_sshd(lab: Lab, *, kinds: str = "ed25519") -> None:
    """A second sshd of web1 on port 2222, with fresh keys; one that runs already is ended first."""
    keys = " ".join(f"-h /run/second_{kind}" for kind in kinds.split())
    lab.execute(
        "web1",
        "mkdir -p /run/sshd; test -e /run/second.pid && kill $(cat /run/second.pid); rm -f /run/second*; "
        f"for kind in {kinds}; do ssh-keygen -q -t $kind -N '' -f /run/second_$kind; done; "
        "while ss -tln | grep -q ':2222 '; do sleep 0.02; done; "
        f"/usr/sbin/sshd -p 2222 -o PidFile=/run/second.pid -f /etc/ssh/sshd_config {keys}",
    )


def test_a_new_key_is_shown_with_the_fingerprint_that_the_host_itself_prints(lab: Lab, known: Path) -> None:
    host = entry(address(lab, "web1"))
    own = lab.execute("web1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key").stdout.split()[1]

    found = {key.algorithm: key for key in scan(host, known)}

    assert found["ssh-ed25519"].fingerprint == own
    assert found["ssh-ed25519"].standing is Standing.NEW
    assert not known.exists()


def test_an_enrolled_host_is_known_to_us_and_to_ssh(lab: Lab, known: Path) -> None:
    host = entry(address(lab, "web1"))
    before = login(lab, host, known)

    trust.enrol(host, scan(host, known), known)

    assert {key.standing for key in scan(host, known)} == {Standing.KNOWN}
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.parent.stat().st_mode) == 0o700
    assert before != 0
    assert login(lab, host, known) == 0


def test_a_changed_key_is_named_and_replaced_only_when_told_to(lab: Lab, known: Path) -> None:
    host = entry(address(lab, "web1"), port=2222)
    second_sshd(lab)
    trust.enrol(host, scan(host, known), known)
    trusted = known.read_text(encoding="utf-8")
    assert trusted.startswith(f"[{address(lab, 'web1')}]:2222 ssh-ed25519 ")
    assert login(lab, host, known) == 0

    second_sshd(lab)
    changed = scan(host, known)

    assert {key.standing for key in changed} == {Standing.CHANGED}
    assert login(lab, host, known) != 0
    with pytest.raises(HostKeyMismatch, match="target was not enrolled"):
        trust.enrol(host, changed, known)
    assert known.read_text(encoding="utf-8") == trusted
    trust.enrol(host, changed, known, replace=True)
    assert {key.standing for key in scan(host, known)} == {Standing.KNOWN}
    assert login(lab, host, known) == 0


def test_a_known_host_that_shows_none_of_its_known_keys_has_changed(lab: Lab, known: Path) -> None:
    host = entry(address(lab, "web1"), port=2222)
    second_sshd(lab)
    trust.enrol(host, scan(host, known), known)

    second_sshd(lab, kinds="ecdsa")

    assert {key.standing for key in scan(host, known)} == {Standing.CHANGED}


def test_a_further_key_of_a_known_host_is_extra(lab: Lab, known: Path) -> None:
    host = entry(address(lab, "web1"), port=2222)
    second_sshd(lab, kinds="ed25519 ecdsa")
    first, *_ = [key for key in scan(host, known) if key.algorithm == "ssh-ed25519"]
    trust.enrol(host, [first], known)

    standings = {key.algorithm: key.standing for key in scan(host, known)}

    assert standings == {"ecdsa-sha2-nistp256": Standing.EXTRA, "ssh-ed25519": Standing.KNOWN}


def test_the_ssh_config_says_where_a_host_is(lab: Lab, known: Path, tmp_path: Path) -> None:
    second_sshd(lab)
    config = tmp_path / "config"
    config.write_text(f"Host front\n  HostName {address(lab, 'web1')}\n  Port 2222\n", encoding="utf-8")

    (key,) = scan(entry("front"), known, config)

    assert key.line.startswith(f"[{address(lab, 'web1')}]:2222 ")
    (aliased,) = scan(entry("front", "-o", "HostKeyAlias=front-key"), known, config)
    assert aliased.line.startswith("front-key ")


def test_a_host_with_a_known_hosts_of_its_own_is_enrolled_there(lab: Lab, known: Path, tmp_path: Path) -> None:
    own = tmp_path / "a lab" / "own"
    host = entry(address(lab, "web1"), "-o", f'UserKnownHostsFile="{own}"')

    assert trust.enrol(host, scan(host, known), known) == own

    assert own.exists()
    assert not known.exists()


@pytest.mark.parametrize("how", ["jump", "command"])
def test_a_host_behind_a_bastion_is_scanned_through_it(lab: Lab, known: Path, tmp_path: Path, how: str) -> None:
    bastion = entry(address(lab, "web1"))
    trust.enrol(bastion, scan(bastion, known), known)
    config = tmp_path / "config"
    config.write_text(f"Host {bastion.connection.address}\n  IdentityFile {lab.key}\n", encoding="utf-8")
    command = (
        f"ssh -F {config} -o UserKnownHostsFile={known} -o BatchMode=yes -W [%h]:%p healer@{bastion.connection.address}"
    )
    arguments = {
        "jump": ("-J", f"healer@{bastion.connection.address}"),
        "command": ("-o", f"ProxyCommand={command}"),
    }
    # This name means something only on the bastion.
    host = entry("web2", *arguments[how])
    own = lab.execute("web2", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key").stdout.split()[1]

    found = {key.algorithm: key for key in scan(host, known, config)}

    assert found["ssh-ed25519"].fingerprint == own
    assert found["ssh-ed25519"].line.startswith("web2 ssh-ed25519 ")


def test_an_untrusted_bastion_is_the_thing_to_trust_first(lab: Lab, known: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    # It would let us in: only its unknown key stands in the way.
    config.write_text(f"Host {address(lab, 'web1')}\n  IdentityFile {lab.key}\n", encoding="utf-8")
    host = entry("web2", "-J", f"healer@{address(lab, 'web1')}")

    with pytest.raises(HostUnreachable) as caught:
        scan(host, known, config)

    assert f"through its proxy healer@{address(lab, 'web1')}" in str(caught.value)
    assert "`healer trust` it" in str(caught.value)
    assert not known.exists()


def test_a_host_where_nothing_listens_is_one_clear_sentence(lab: Lab, known: Path) -> None:
    with pytest.raises(HostUnreachable, match=r"target shows no host key at .* port 2\."):
        scan(entry(address(lab, "web1"), port=2), known)


def test_a_local_host_needs_no_key(known: Path) -> None:
    host = Host(name="here", groups=(), connection=Connection(kind="local", address="here"))

    assert scan(host, known) == ()


def shown(name: str) -> ScannedKey:
    return ScannedKey(
        algorithm="ssh-ed25519", fingerprint="", line=f"{name} ssh-ed25519 {'A' * 40}", standing=Standing.NEW
    )


def test_enrolments_at_the_same_time_lose_nothing(known: Path) -> None:
    names = [f"web{number}" for number in range(24)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda name: trust.enrol(entry(name), [shown(name)], known), names))

    assert sorted(line.split()[0] for line in known.read_text(encoding="utf-8").splitlines()) == sorted(names)
    assert [path.name for path in known.parent.iterdir()] == ["known_hosts"]


def test_a_link_to_known_hosts_stays_a_link(known: Path, tmp_path: Path) -> None:
    known.parent.mkdir()
    known.symlink_to(tmp_path / "real")

    trust.enrol(entry("web1"), [shown("web1")], known)

    assert known.is_symlink()
    assert (tmp_path / "real").read_text(encoding="utf-8").startswith("web1 ")


def test_a_known_hosts_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="can't be"):
        trust.enrol(entry("web1"), [shown("web1")], tmp_path / "file" / "known_hosts")
