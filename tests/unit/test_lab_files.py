"""The files of a lab: what Ansible, ssh and the next command read."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from lab.errors import LabError
from lab.files import Files, Memory
from lab.inventory import inventory_text
from lab.keys import ensure_key, known_hosts_lines, write

ADDRESSES = {"web1": "198.18.0.11", "web2": "198.18.0.12"}
MEMORY = Memory(
    subnet="198.18.0.0/24",
    hosts=("web1", "web2"),
    variables={"healing_mode": "auto"},
    host_variables={"web2": {"healing_mode": "propose"}},
)


def test_what_was_written_is_recalled(tmp_path: Path) -> None:
    files = Files(tmp_path / "lab")
    assert files.recall() is None

    files.write(MEMORY, ADDRESSES, "a lab")

    assert files.recall() == MEMORY
    assert files.folder.stat().st_mode & 0o777 == 0o700


def test_writing_again_keeps_the_keys(tmp_path: Path) -> None:
    files = Files(tmp_path / "lab")
    files.write(MEMORY, ADDRESSES, "a lab")
    key, known = files.key.read_bytes(), files.known_hosts.read_text(encoding="utf-8")

    files.write(MEMORY, {**ADDRESSES, "web3": "198.18.0.13"}, "a lab")

    assert files.key.read_bytes() == key
    assert files.known_hosts.read_text(encoding="utf-8").startswith(known)
    assert "198.18.0.13 web3\n" in (files.of_host("web1") / "hosts").read_text(encoding="utf-8")


def test_each_host_has_a_key_of_its_own_that_known_hosts_names(tmp_path: Path) -> None:
    files = Files(tmp_path / "lab")
    files.write(MEMORY, ADDRESSES, "a lab")

    keys = {(files.of_host(host) / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8") for host in ADDRESSES}

    assert len(keys) == 2
    rows = files.known_hosts.read_text(encoding="utf-8").splitlines()
    assert [row.split()[0] for row in rows] == ["web1,198.18.0.11", "web2,198.18.0.12"]
    assert {row.split()[2] for row in rows} == {key.split()[1] for key in keys}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"subnet": "x", "hosts": [], "colour": 1}'])
def test_a_damaged_memory_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "lab.json").write_text(text, encoding="utf-8")

    with pytest.raises(LabError, match=r"lab\.json is damaged"):
        Files(tmp_path).recall()


def test_remove_leaves_nothing_and_may_be_called_twice(tmp_path: Path) -> None:
    files = Files(tmp_path / "lab")
    files.write(MEMORY, ADDRESSES, "a lab")

    files.remove()
    files.remove()

    assert list(tmp_path.iterdir()) == []


def test_a_key_is_openssh_s_own_and_nobody_else_reads_it(tmp_path: Path) -> None:
    line = ensure_key(tmp_path / "key", "someone")

    assert line.startswith("ssh-ed25519 ")
    assert line.endswith(" someone")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    load_ssh_private_key((tmp_path / "key").read_bytes(), None)
    assert ensure_key(tmp_path / "key", "another") == line


def test_a_lost_public_half_makes_a_new_pair(tmp_path: Path) -> None:
    line = ensure_key(tmp_path / "key", "someone")
    (tmp_path / "key.pub").unlink()

    assert ensure_key(tmp_path / "key", "someone") != line


def test_write_replaces_the_whole_file_also_after_a_cut_off(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half", encoding="utf-8")
    (tmp_path / "file").write_text("before, and longer", encoding="utf-8")

    write(tmp_path / "file", "after", mode=0o640)

    assert (tmp_path / "file").read_text(encoding="utf-8") == "after"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_known_hosts_drops_the_comment() -> None:
    assert known_hosts_lines({"web1": ("198.18.0.11", "ssh-ed25519 AAAA web1")}) == (
        "web1,198.18.0.11 ssh-ed25519 AAAA\n"
    )


@pytest.mark.parametrize("folder", ["/srv/labs", "/srv/my labs"])
def test_the_inventory_is_an_ordinary_one(folder: str) -> None:
    text = inventory_text(
        ADDRESSES,
        key=Path(folder, "key"),
        known_hosts=Path(folder, "known_hosts"),
        variables={"healing_mode": "auto", "ansible_port": 2222},
        host_variables={"web2": {"healing_mode": "propose"}, "web9": {"healing_mode": "off"}},
    )

    group = yaml.safe_load(text)["lab"]
    assert group["hosts"] == {
        "web1": {"ansible_host": "198.18.0.11"},
        "web2": {"ansible_host": "198.18.0.12", "healing_mode": "propose"},
    }
    assert group["vars"]["ansible_user"] == "healer"
    assert group["vars"]["ansible_become"] is True
    assert group["vars"]["ansible_ssh_private_key_file"] == f"{folder}/key"
    assert group["vars"]["healing_mode"] == "auto"
    assert group["vars"]["ansible_port"] == 2222
    words = shlex.split(group["vars"]["ansible_ssh_common_args"])
    assert words[::2] == ["-o", "-o"]
    # OpenSSH splits the value itself once more, at blanks outside of double quotes.
    assert shlex.split(words[1].removeprefix("UserKnownHostsFile=")) == [f"{folder}/known_hosts"]
    assert words[3] == "StrictHostKeyChecking=yes"
