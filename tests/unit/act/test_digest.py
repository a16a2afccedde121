from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import settings as settings_module
from orchestrator.act import digest, workspace
from orchestrator.domain.hosts import Connection, Host, HostPolicy
from orchestrator.errors import CatalogError, RecordError
from orchestrator.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "healer.toml").write_text('state_dir = "state"\n')
    (tmp_path / "playbooks/tidy").mkdir(parents=True)
    (tmp_path / "playbooks/tidy/act.yml").write_text("- hosts: all\n")
    (tmp_path / "roles/tidy/tasks").mkdir(parents=True)
    (tmp_path / "roles/tidy/tasks/main.yml").write_text("[]\n")
    return settings_module.load(tmp_path / "healer.toml", {"HOME": "/root", "PATH": "/bin"})


HOST = Host(
    name="web1",
    groups=(),
    connection=Connection(kind="ssh", address="192.0.2.1"),
    variables={"ansible_host": "192.0.2.1", "ansible_password": "hunter22"},
)


def bound(settings: Settings, *, word: str = "a", hosts: tuple[Host, ...] = (HOST,)) -> str:
    root = settings.state_dir.parent
    return workspace.bound_digest(root / "playbooks/tidy", root / "roles/tidy", "tidy", {"word": word}, hosts, settings)


def test_it_is_a_sha_256_that_stays_the_same(settings: Settings) -> None:
    first = bound(settings)
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert bound(settings) == first


def edit_playbook(root: Path) -> None:
    (root / "playbooks/tidy/act.yml").write_text("- hosts: all \n")


def edit_role(root: Path) -> None:
    (root / "roles/tidy/tasks/main.yml").write_text("[] \n")


def add_file(root: Path) -> None:
    (root / "roles/tidy/tasks/more.yml").write_text("")


def rename_file(root: Path) -> None:
    (root / "playbooks/tidy/act.yml").rename(root / "playbooks/tidy/act2.yml")


@pytest.mark.parametrize("change", [edit_playbook, edit_role, add_file, rename_file])
def test_any_byte_of_folder_and_role_counts(settings: Settings, change: Callable[[Path], None]) -> None:
    before = bound(settings)
    change(settings.state_dir.parent)
    assert bound(settings) != before


@pytest.mark.parametrize(
    "other",
    [
        replace(HOST, name="web2"),
        replace(HOST, variables={**HOST.variables, "ansible_host": "192.0.2.9"}),
        replace(HOST, variables={**HOST.variables, "ansible_password": "hunter23"}),
        replace(HOST, policy=HostPolicy(safe_directories=("/",))),
        replace(HOST, policy=HostPolicy(protected_services=frozenset({"x.service"}))),
    ],
)
def test_host_its_variables_and_its_policy_count(settings: Settings, other: Host) -> None:
    assert bound(settings, hosts=(other,)) != bound(settings)


def test_parameters_and_a_second_host_count(settings: Settings) -> None:
    assert (
        len({bound(settings), bound(settings, word="b"), bound(settings, hosts=(HOST, replace(HOST, name="b")))}) == 3
    )


def test_bytecode_that_running_leaves_does_not_count(settings: Settings) -> None:
    before, root = bound(settings), settings.state_dir.parent
    (root / "roles/tidy/__pycache__").mkdir()
    (root / "roles/tidy/__pycache__/x.pyc").write_bytes(b"x")
    assert bound(settings) == before


def test_a_password_can_t_be_guessed_from_it(tmp_path: Path) -> None:
    """Another installation's key gives another digest for the very same run."""
    first = digest.keyed("same text", tmp_path / "one")
    assert first != digest.keyed("same text", tmp_path / "two")
    assert first == digest.keyed("same text", tmp_path / "one")


def test_the_key_is_its_owner_s_alone(tmp_path: Path) -> None:
    digest.keyed("x", tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state/digest.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["digest.key"]


@pytest.mark.parametrize("content", ["", "zz", "00"])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "digest.key").write_text(content)
    with pytest.raises(RecordError, match=r"digest\.key"):
        digest.keyed("x", tmp_path)


def test_a_link_is_refused(settings: Settings) -> None:
    root = settings.state_dir.parent
    (root / "roles/tidy/tasks/other.yml").symlink_to("/etc/passwd")
    with pytest.raises(CatalogError, match=r"other\.yml is a link"):
        bound(settings)
    with pytest.raises(CatalogError):
        digest.copy_tree(root / "roles/tidy", root / "copy")


def test_a_linked_or_missing_folder_is_refused(settings: Settings) -> None:
    root = settings.state_dir.parent
    (root / "linked").symlink_to(root / "roles/tidy")
    for name in ("linked", "missing"):
        with pytest.raises(CatalogError, match=name):
            digest.tree_digest(root / name)


def test_a_copy_has_the_same_digest_and_is_private(settings: Settings) -> None:
    root = settings.state_dir.parent
    digest.copy_tree(root / "roles/tidy", root / "copy")
    assert digest.tree_digest(root / "copy") == digest.tree_digest(root / "roles/tidy")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (root / "copy").rglob("*")}
    assert modes == {0o700, 0o600}
