"""The controller: packages, apt sources, root, the kernel limit, owners of processes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import machine
from lab.errors import LabError
from lab.fleet import Lab
from lab.image import apt_options_in, digest, mirror_in
from lab.podman import runs_in

SOURCES = """\
bookworm-security bookworm-security main http://mirror.test/security/
bookworm bookworm contrib http://mirror.test/debian/
bookworm bookworm main cdrom:[disc]/
bookworm bookworm main http://mirror.test/debian/
"""


@pytest.mark.parametrize(
    ("absent", "release", "expected"),
    [
        (set(), 12, []),
        ({"ip", "newuidmap"}, 12, ["uidmap", "iproute2"]),
        ({"podman"}, 12, ["podman", "containernetworking-plugins"]),
        ({"podman", "crun"}, 13, ["podman", "crun", "netavark", "aardvark-dns"]),
    ],
)
def test_missing_packages_are_those_of_this_debian(absent: set[str], release: int, expected: list[str]) -> None:
    assert machine.missing_packages(lambda program: program not in absent, release) == expected


def test_the_sentence_about_missing_programs_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "missing_packages", lambda found, release: ["podman", "crun"])

    with pytest.raises(LabError, match=r"apt-get install --no-install-recommends podman crun$"):
        machine.require_programs()


@pytest.mark.parametrize(
    ("answer", "suite", "mirror"),
    [
        (SOURCES, "bookworm", "http://mirror.test/debian/"),
        (SOURCES, "trixie", None),
        ("stable trixie main http://mirror.test/debian/", "trixie", "http://mirror.test/debian/"),
        ("trixie", "trixie", None),
        ("", "trixie", None),
    ],
)
def test_the_mirror_is_the_machine_s_own(answer: str, suite: str, mirror: str | None) -> None:
    assert mirror_in(answer, suite) == mirror


def test_apt_options_are_those_that_reach_the_mirror() -> None:
    dump = 'APT "";\nAcquire::http::Proxy "http://proxy.test:3128";\nAcquire::https::Verify "";\nDPkg::Lock "60";\n'

    assert apt_options_in(dump) == ['Acquire::http::Proxy "http://proxy.test:3128";']


def test_a_digest_changes_with_every_part_and_their_borders() -> None:
    assert digest(["ab", "c"]) == digest(["ab", "c"])
    assert len({digest(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])}) == 4


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a b", "../lab", "lab/x", "a" * 41])
def test_a_name_that_could_harm_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        Lab(name, tmp_path)


@pytest.mark.parametrize("hosts", [0, -1, 201])
def test_a_lab_has_a_sensible_number_of_hosts(hosts: int, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"not {hosts}"):
        Lab("some", tmp_path).up(hosts)


def test_a_lab_that_is_down_says_how_to_bring_it_up(tmp_path: Path) -> None:
    lab = Lab("some", tmp_path)

    assert lab.status() == []
    with pytest.raises(LabError, match="healer lab up --name some"):
        lab.execute("web1", "true")


def test_without_root_or_sudo_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda program, path: None)

    with pytest.raises(LabError, match="run this as root, or install sudo"):
        machine.as_root(["true"])


def test_a_sudo_that_asks_for_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["sudo", "-n"]
        return subprocess.CompletedProcess(command, 1, "", "sudo: a password is required\n")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda program, path: "/usr/bin/sudo")
    monkeypatch.setattr("subprocess.run", refuse)

    with pytest.raises(LabError, match="use sudo without a password"):
        machine.as_root(["true"], check=False)


class Kernel:
    """Stands for the limit's file and for root, over a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
        self.limit_file = folder / "max_user_instances"
        self.limit_file.write_text(f"{limit}\n", encoding="utf-8")
        self.said: list[str] = []
        monkeypatch.setattr(machine, "INOTIFY", self.limit_file)
        monkeypatch.setattr(machine, "ROOM", folder / "room")
        monkeypatch.setattr("os.geteuid", lambda: 0)

    @property
    def limit(self) -> int:
        return int(self.limit_file.read_text(encoding="utf-8"))


def test_a_few_hosts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, monkeypatch, 128)

    machine.make_room_for(3, kernel.said.append)

    assert kernel.limit == 128
    assert kernel.said == []
    assert not machine.ROOM.exists()


def test_many_hosts_raise_the_limit_say_so_and_the_last_lab_restores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path, monkeypatch, 128)

    machine.make_room_for(30, kernel.said.append)
    assert kernel.limit == 1024
    machine.make_room_for(200, kernel.said.append)
    assert kernel.limit >= 200 * 7
    machine.restore(kernel.said.append)

    assert kernel.limit == 128
    assert "from 128 to 1024 for 30 hosts" in kernel.said[0]
    assert "restored" in kernel.said[-1]
    assert not machine.ROOM.exists()


def test_a_limit_that_somebody_else_set_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, monkeypatch, 128)
    machine.make_room_for(30, kernel.said.append)
    kernel.limit_file.write_text("8192\n", encoding="utf-8")

    machine.restore(kernel.said.append)

    assert kernel.limit == 8192


def test_a_process_is_a_container_s_own_only_by_its_cgroup() -> None:
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[0]

    assert runs_in(int(Path("/proc/self").readlink().name), own)
    assert not runs_in(int(Path("/proc/self").readlink().name), "7e85f56ae750")
    assert not runs_in(2**22 + 1, "7e85f56ae750")
