from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.act import workspace
from orchestrator.act.order import Order
from orchestrator.act.workspace import Workspace
from orchestrator.domain.hosts import HostPolicy, Permit
from orchestrator.domain.runs import PlaybookJob
from orchestrator.errors import CatalogError, InventoryError, RecordError
from orchestrator.settings import Settings
from tests.support.act_stage import Stage, environment, local_host


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, environment(GEMINI_API_KEY="canary-key", ANSIBLE_HOST_KEY_CHECKING="False", LD_PRELOAD="x"))
    yield made
    made.store.close()


@pytest.fixture
def job(stage: Stage) -> PlaybookJob:
    return stage.job(stage.action("tidy", "[]"), parameters={"word": "{{ 7*7 }}"})


def test_the_environment_is_an_allowlist_with_our_settings(stage: Stage, job: PlaybookJob) -> None:
    found = workspace.environment(job, stage.settings, Workspace.of(job.run_id, stage.settings), Path("/c"))
    own = {key for key in found if not key.startswith("ANSIBLE_")}
    assert own <= {"PATH", "HOME", "LANG"}
    assert found["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert found["ANSIBLE_TASK_TIMEOUT"] == "600"
    private = str(stage.private(job))
    inside = ("ANSIBLE_CONFIG", "ANSIBLE_HOME", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_ROLES_PATH", "ANSIBLE_COLLECTIONS_PATH")
    assert all(found[key].startswith(private) for key in inside)


def test_both_folders_are_made_and_are_their_owner_s_alone(stage: Stage, job: PlaybookJob) -> None:
    space, digest = workspace.prepare(job, stage.settings)

    assert digest == workspace.bound_digest(
        job.playbook.parent, job.roles / "tidy", "tidy", job.parameters, job.hosts, stage.settings
    )
    for path in [space.private, space.artifacts, *space.private.rglob("*"), *space.artifacts.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    kept = {str(path.relative_to(space.artifacts)) for path in space.artifacts.rglob("*") if path.is_file()}
    assert kept >= {"playbook/act.yml", "roles/tidy/tasks/main.yml", "parameters.json", "hosts.json"}
    assert json.loads((space.artifacts / "parameters.json").read_text())["parameters"] == {"word": "{{ 7*7 }}"}
    space.discard()


def test_extra_vars_are_the_action_s_parameters_and_the_narrowest_policy() -> None:
    hosts = [
        replace(
            local_host("a"),
            policy=HostPolicy(
                safe_directories=("/opt", "/srv"), protected_services=frozenset("x"), permits=frozenset(Permit)
            ),
        ),
        replace(
            local_host("b"),
            policy=HostPolicy(
                safe_directories=("/srv",),
                protected_services=frozenset("y"),
                permits=frozenset({Permit.RESTART_ZOMBIE_PARENT}),
            ),
        ),
    ]
    assert workspace.extra_vars("tidy", {"word": "w"}, hosts) == {
        "tidy_word": "w",
        "healing_safe_directories": ["/srv"],
        "healing_protected_services": ["x", "y"],
        "healing_permits": ["restart_zombie_parent"],
    }


def test_a_run_that_was_given_up_can_t_be_prepared(stage: Stage, job: PlaybookJob) -> None:
    stage.private(job).mkdir(parents=True)
    with pytest.raises(RecordError, match="Nothing was started"):
        workspace.prepare(job, stage.settings)
    assert stage.private(job).is_dir()


def test_artifacts_that_can_t_be_written_stop_it_before_anything(stage: Stage, job: PlaybookJob) -> None:
    stage.settings.artifacts_dir.write_text("a file where the folder should be")
    with pytest.raises(RecordError, match="artifacts"):
        workspace.prepare(job, stage.settings)
    assert not stage.private(job).exists()


def test_artifacts_of_an_earlier_run_are_never_written_over(stage: Stage, job: PlaybookJob) -> None:
    old = stage.artifacts(job)
    old.mkdir(parents=True)
    (old / "result.json").write_text("{}")
    with pytest.raises(RecordError):
        workspace.prepare(job, stage.settings)
    assert [path.name for path in old.iterdir()] == ["result.json"]
    assert not stage.private(job).exists()
    assert [path.name for path in old.parent.iterdir()] == [old.name]


def test_a_full_disk_stops_it_before_anything(stage: Stage, job: PlaybookJob, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = list(os.statvfs(stage.folder))
    nearly[4] = 10  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(nearly))
    with pytest.raises(RecordError, match=r"Nothing was started; make room"):
        workspace.prepare(job, stage.settings)
    assert not stage.private(job).exists()


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a\nb", "x" * 200])
def test_a_run_id_is_a_plain_name(stage: Stage, run_id: str) -> None:
    with pytest.raises(RecordError):
        Workspace.of(run_id, stage.settings)


def test_a_run_without_hosts_is_refused(stage: Stage, job: PlaybookJob) -> None:
    with pytest.raises(InventoryError, match="no host"):
        workspace.prepare(replace(job, hosts=()), stage.settings)


def test_a_missing_playbook_is_refused(stage: Stage, job: PlaybookJob) -> None:
    job.playbook.unlink()
    with pytest.raises(CatalogError, match=r"act\.yml does not exist"):
        workspace.prepare(job, stage.settings)
    assert not stage.private(job).exists()
    assert not stage.artifacts(job).exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    made = tmp_path / "t"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def deep(stage: Stage, tmp_path: Path) -> Settings:
    """A state directory whose path leaves no room for ssh's sockets."""
    made = replace(stage.settings, state_dir=tmp_path / ("d" * 90))
    made.state_dir.mkdir()
    return made


def test_control_sockets_fit_even_below_a_deep_folder(job: PlaybookJob, deep: Settings, temporary: Path) -> None:
    space, _ = workspace.prepare(job, deep)

    order = Order.read(space.private)
    control = Path(order.control_dir)
    assert order.control_dir_private
    assert len(control.name) < 30
    assert control.name.startswith(workspace.control_prefix(deep.state_dir)), "it says whose it is"
    assert list(temporary.iterdir()) == [control]
    space.discard()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("moment", ["its order", "its artifacts"])
def test_a_run_that_can_t_be_prepared_leaves_no_control_folder(
    job: PlaybookJob, deep: Settings, temporary: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if moment == "its order":
        monkeypatch.setattr(Order, "write", full)
    else:
        (deep.artifacts_dir / job.run_id).mkdir(parents=True)
        (deep.artifacts_dir / job.run_id / "result.json").touch()

    with pytest.raises(RecordError):
        workspace.prepare(job, deep)

    assert list(temporary.iterdir()) == []


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")
