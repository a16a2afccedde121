"""What a run left is read whole, in order, and never from outside its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import RecordError
from orchestrator.record import artifacts


def event(folder: Path, number: int, kind: str, **data: Any) -> None:
    events = folder / "job_events"
    events.mkdir(exist_ok=True)
    (events / f"{number}-uuid.json").write_text(json.dumps({"event": kind, "event_data": data}))


def test_tasks_come_in_order_with_their_outcome(tmp_path: Path) -> None:
    event(tmp_path, 2, "runner_on_ok", task="look", host="web1", duration=0.25, res={"changed": False})
    event(tmp_path, 10, "runner_on_failed", task="start", host="web1", duration=1, res={"msg": "no"})
    event(tmp_path, 9, "runner_on_ok", task="change", host="web1", duration=2, res={"changed": True})
    event(tmp_path, 11, "runner_on_failed", task="try", host="web1", ignore_errors=True, res={})
    event(tmp_path, 12, "runner_on_unreachable", task="gone", host="web1", res={"msg": "timeout"})
    event(tmp_path, 13, "runner_on_skipped", task="not now", host="web1", res={})
    event(tmp_path, 1, "playbook_on_start")

    found = artifacts.tasks(tmp_path)

    assert [(one.name, one.outcome) for one in found] == [
        ("look", "ok"),
        ("change", "changed"),
        ("start", "failed"),
        ("try", "ignored"),
        ("gone", "unreachable"),
        ("not now", "skipped"),
    ]
    assert (found[2].message, found[2].seconds, found[2].host) == ("no", 1.0, "web1")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"event": "runner_on_ok"}', '{"event": 3, "event_data": 4}', "\udcff"]
)
def test_an_odd_event_is_passed_over(tmp_path: Path, text: str) -> None:
    event(tmp_path, 2, "runner_on_ok", task="look", host="web1", res=None)
    (tmp_path / "job_events" / "1-x.json").write_text(text, errors="surrogateescape")
    (tmp_path / "job_events" / "x.json").write_text("{}")

    assert [one.name for one in artifacts.tasks(tmp_path)] == ["look"]


def test_a_run_that_has_left_nothing_yet_is_empty(tmp_path: Path) -> None:
    absent = tmp_path / "none"

    assert (artifacts.files(absent), artifacts.tasks(absent), artifacts.stdout(absent)) == ((), (), "")


def test_files_are_listed_and_read_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_bytes(b"PLAY \xff")
    event(tmp_path, 1, "x")

    assert [one.name for one in artifacts.files(tmp_path)] == ["job_events/1-uuid.json", "stdout"]
    assert artifacts.stdout(tmp_path) == "PLAY \N{REPLACEMENT CHARACTER}"
    assert artifacts.read(tmp_path, "stdout", 3) == b"PLA"


@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "link", "linked/secret", "sub", "none", "", "a\0b"])
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)

    with pytest.raises(RecordError):
        artifacts.read(folder, name)
    with pytest.raises(RecordError):
        artifacts.read(folder, str(tmp_path / "secret"))
    assert artifacts.files(folder) == ()


@pytest.mark.parametrize("run_id", ["", "..", ".hidden", "a/b", "/etc", "a\0"])
def test_a_run_id_is_a_plain_name(tmp_path: Path, run_id: str) -> None:
    assert artifacts.folder_of(tmp_path, "inc-1-act") == tmp_path / "inc-1-act"
    with pytest.raises(RecordError):
        artifacts.folder_of(tmp_path, run_id)
