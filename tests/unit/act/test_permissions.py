"""A folder that somebody else can change is refused, with one sentence that says which and what to type."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.act import permissions, workspace
from orchestrator.errors import ConfigError, RecordError
from tests.support.act_stage import Stage, environment

#: Some user that is neither root nor us.
STRANGER = 64_123


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "above", environment())
    yield made
    made.store.close()


def loose(folder: Path) -> None:
    folder.chmod(0o757)


def grouped(folder: Path) -> None:
    folder.chmod(0o770)


def foreign(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, STRANGER, STRANGER)


def linked(folder: Path) -> None:
    elsewhere = folder.with_name(f"{folder.name}-elsewhere")
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


WAYS = [
    (loose, "can be written by everybody (mode 0757)", "chmod go-w {folder}"),
    (grouped, "can be written by its group (mode 0770)", "chmod go-w {folder}"),
    (foreign, f"belongs to {STRANGER}", "chown -R "),
    (linked, "is a symbolic link", "-elsewhere"),
]


@pytest.mark.parametrize("name", [".", "runs", "ssh", "artifacts"])
@pytest.mark.parametrize(("change", "words", "way_out"), WAYS)
def test_a_folder_of_ours_must_be_ours_alone(
    stage: Stage, name: str, change: Callable[[Path], None], words: str, way_out: str
) -> None:
    folder = stage.settings.state_dir / name
    folder.mkdir(mode=0o700, exist_ok=True)
    permissions.require(stage.settings)
    change(folder)

    with pytest.raises(ConfigError) as refused:
        permissions.require(stage.settings)
    said = str(refused.value)
    assert said.startswith(f"{folder} {words}")
    assert way_out.format(folder=folder) in said

    job = stage.job(stage.action("tidy", "[]"))
    before = {path for path in stage.folder.rglob("*")}
    with pytest.raises(RecordError, match="Nothing was started") as refused_run:
        workspace.prepare(job, stage.settings)
    assert str(refused_run.value).startswith(said)
    assert {path for path in stage.folder.rglob("*")} == before


def test_a_folder_above_that_anybody_may_write_lets_them_put_another_in_place(stage: Stage) -> None:
    stage.folder.chmod(0o777)
    with pytest.raises(ConfigError, match=rf"^{stage.folder} can be written by everybody .*chmod go-w {stage.folder}$"):
        permissions.require(stage.settings)

    stage.folder.chmod(0o1777)
    permissions.require(stage.settings)


def test_a_folder_above_may_be_a_group_s_only_where_that_is_ours_or_root_s(stage: Stage) -> None:
    stage.folder.chmod(0o770)
    permissions.require(stage.settings)
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(stage.folder, 0, STRANGER)
    with pytest.raises(ConfigError, match="can be written by its group"):
        permissions.require(stage.settings)


def test_a_folder_above_that_belongs_to_somebody_else_is_refused(stage: Stage) -> None:
    foreign(stage.folder)
    with pytest.raises(ConfigError, match=rf"^{stage.folder} belongs to {STRANGER}, who could put another folder"):
        permissions.require(stage.settings)


def test_a_link_above_that_belongs_to_somebody_else_is_refused(stage: Stage) -> None:
    """In a folder like /tmp anybody may make one, and change it later."""
    linked(stage.folder)
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    os.chown(stage.folder, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigError, match=rf"^{stage.folder} belongs to {STRANGER}, who could put another folder"):
        permissions.require(stage.settings)


def test_behind_a_link_above_both_places_count(stage: Stage, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir(mode=0o700)
    stage.folder.rename(far / "above")
    stage.folder.symlink_to(far / "above")
    permissions.require(stage.settings)

    for loosened in (tmp_path, far, far / "above"):
        loosened.chmod(0o777)
        shown = stage.folder if loosened.name == "above" else loosened
        with pytest.raises(ConfigError, match=rf"^{shown} can be written"):
            permissions.require(stage.settings)
        loosened.chmod(0o700)


def test_what_is_not_there_yet_is_made_ours(stage: Stage) -> None:
    job = stage.job(stage.action("tidy", "[]"))
    workspace.prepare(job, stage.settings)[0].discard()

    permissions.require(stage.settings)
