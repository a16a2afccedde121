"""What a run left is read whole, in order, and never from outside its folder."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import RecordError
from orchestrator.record import artifacts, entries, review
from orchestrator.record.shelf import Shelf


@pytest.fixture(params=["a folder", "packed"])
def left(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """What a run left, in its folder or packed: both read the same."""

    def as_asked(folder: Path) -> Path:
        if request.param == "packed":
            Shelf(folder.parent).pack(folder.name)
            assert not folder.exists()
        return folder

    return as_asked


def event(folder: Path, number: int, kind: str, **data: Any) -> None:
    events = folder / "job_events"
    events.mkdir(exist_ok=True, parents=True)
    (events / f"{number}-uuid.json").write_text(json.dumps({"event": kind, "event_data": data}))


def test_what_is_read_in_one_go_is_what_is_read_piece_by_piece(tmp_path: Path, left: Callable[[Path], Path]) -> None:
    run = tmp_path / "run"
    event(run, 2, "runner_on_ok", task="change", host="web1", duration=2, res={"changed": True})
    event(run, 1, "runner_on_ok", task="look", host="web1", duration=1, res={})
    (run / "stdout").write_text("ok", encoding="utf-8")
    (run / "parameters.json").write_text('{"playbook": "verify.yml"}', encoding="utf-8")
    (run / "playbook").mkdir()
    for name in ("act.yml", "verify.yml"):
        (run / "playbook" / name).write_text(f"- name: {name}", encoding="utf-8")

    found = review.left(left(run))

    assert found.tasks == artifacts.tasks(run)
    assert found.files == artifacts.files(run)
    assert [one.name for one in found.tasks] == ["look", "change"]
    assert len(found.files) == 6
    assert (found.stdout, found.playbook) == (artifacts.stdout(run), "- name: verify.yml")


@pytest.mark.parametrize(
    "said", [None, "", "{", "[]", "{}", '{"playbook": "../../etc/passwd"}', '{"playbook": "gone.yml"}']
)
def test_a_playbook_that_is_not_among_the_artifacts_is_none(tmp_path: Path, said: str | None) -> None:
    run = tmp_path / "run"
    event(run, 1, "runner_on_ok", task="look", host="web1", duration=1, res={})
    if said is not None:
        (run / "parameters.json").write_text(said, encoding="utf-8")

    assert review.left(run).playbook == ""


def test_tasks_come_in_order_with_their_outcome(tmp_path: Path, left: Callable[[Path], Path]) -> None:
    run = tmp_path / "run"
    event(run, 2, "runner_on_ok", task="look", host="web1", duration=0.25, res={"changed": False})
    event(run, 10, "runner_on_failed", task="start", host="web1", duration=1, res={"msg": "no"})
    event(run, 9, "runner_on_ok", task="change", host="web1", duration=2, res={"changed": True})
    event(run, 11, "runner_on_failed", task="try", host="web1", ignore_errors=True, res={})
    event(run, 12, "runner_on_unreachable", task="gone", host="web1", res={"msg": "timeout"})
    event(run, 13, "runner_on_skipped", task="not now", host="web1", res={})
    event(run, 1, "playbook_on_start")

    found = artifacts.tasks(left(run))

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
def test_an_odd_event_is_passed_over(tmp_path: Path, left: Callable[[Path], Path], text: str) -> None:
    run = tmp_path / "run"
    event(run, 2, "runner_on_ok", task="look", host="web1", res=None)
    (run / "job_events" / "1-x.json").write_text(text, errors="surrogateescape")
    (run / "job_events" / "x.json").write_text("{}")
    (run / "1-elsewhere.json").write_text((run / "job_events" / "2-uuid.json").read_text())

    assert [one.name for one in artifacts.tasks(left(run))] == ["look"]


def test_a_run_that_has_left_nothing_yet_is_empty(tmp_path: Path) -> None:
    absent = tmp_path / "none"

    assert (artifacts.files(absent), artifacts.tasks(absent), artifacts.stdout(absent)) == ((), (), "")
    assert artifacts.kept(absent) == []


def test_files_are_listed_and_read_up_to_a_limit(tmp_path: Path, left: Callable[[Path], Path]) -> None:
    run = tmp_path / "run"
    event(run, 1, "x")
    (run / "stdout").write_bytes(b"PLAY \xff")
    (tmp_path / "secret").write_text("secret")
    (run / "link").symlink_to(tmp_path / "secret")

    left(run)

    assert [(one.name, one.size) for one in artifacts.files(run)] == [("job_events/1-uuid.json", 32), ("stdout", 6)]
    assert artifacts.stdout(run) == "PLAY \N{REPLACEMENT CHARACTER}"
    assert artifacts.read(run, "stdout", 3) == b"PLA"
    for name in ("link", "none", "../secret", str(tmp_path / "secret")):
        with pytest.raises(RecordError):
            artifacts.read(run, name)
    assert artifacts.kept(tmp_path) == ["run", "secret"]


def test_what_is_packed_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    for number in range(1, 6):
        event(run, number, "runner_on_ok", task=f"task {number}", host="web1", res={})
    walk = entries.names

    def packs_meanwhile(folder: Path, below: str = "") -> Iterator[str]:
        monkeypatch.setattr(entries, "names", walk)
        found = list(walk(folder, below))
        Shelf(tmp_path).pack("run")
        yield from found

    monkeypatch.setattr(entries, "names", packs_meanwhile)

    assert [one.name for one in artifacts.tasks(run)] == [f"task {number}" for number in range(1, 6)]


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    run = tmp_path / "run"
    event(run, 1, "runner_on_ok", task="look", host="web1", res={})
    (run / "stdout").write_bytes(os.urandom(5000))
    Shelf(tmp_path).pack("run")
    packed = artifacts.place(run)
    whole = packed.read_bytes()

    for cut in (whole[: len(whole) // 2], b"", whole[:2500] + b"xxxx" + whole[2504:]):
        packed.write_bytes(cut)
        with pytest.raises(RecordError, match=r"run\.tar\.gz can't be read"):
            artifacts.files(run)


def test_a_packed_link_or_device_is_no_artifact(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "run.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("stdout")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    assert artifacts.files(tmp_path / "run") == ()
    assert artifacts.stdout(tmp_path / "run") == ""


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


def test_a_part_of_a_large_run_opens_no_file_that_it_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for number in range(1, 300):
        event(run, number, "runner_on_ok", task=f"task {number}", host="web1", res={"changed": number % 2 == 0})
    event(run, 300, "playbook_on_stats", ok={"web1": 299}, changed={"web1": 149}, failures={})
    (run / "stdout").write_bytes(b"x" * 2 * entries.CHUNK + b"the end")
    monkeypatch.setattr(review, "OUTPUT_LIMIT", entries.CHUNK)
    monkeypatch.setattr(review, "FILES", 3)
    opened: list[str] = []
    plain = entries.plain

    def counted(folder: Path, name: str) -> Any:
        opened.append(name)
        return plain(folder, name)

    monkeypatch.setattr(entries, "plain", counted)

    first = review.left(run, limit=10)
    assert [one.name for one in first.tasks] == [f"task {number}" for number in range(1, 11)]
    # Its tasks, one more that tells whether others follow, the sum, and the output.
    assert len(opened) == 13
    assert (first.next, first.events, first.file_count) == (10, 300, 301)
    assert first.counts == {"web1": {"ok": 150, "changed": 149}}
    assert first.cut
    assert first.stdout == "the end"
    assert "stdout" in [one.name for one in first.files]
    assert len(first.files) == 3

    opened.clear()
    assert [number for number, _ in artifacts.events(run, 200, 5)] == [201, 202, 203, 204, 205]
    # The sum comes first.
    assert len(opened) == 6


def test_parts_of_a_run_are_the_whole(tmp_path: Path, left: Callable[[Path], Path]) -> None:
    run = tmp_path / "run"
    for number in range(1, 120):
        kind = "runner_on_ok" if number % 3 else "runner_on_start"
        event(run, number, kind, task=f"task {number}", host="web1", res={"stdout": "x"})
    event(run, 120, "playbook_on_stats", ok={"web1": 79}, changed={})
    left(run)

    told: list[artifacts.Task] = []
    after = 0
    while True:
        part = review.left(run, after, 7)
        told += part.tasks
        if part.next is None:
            break
        after = part.next

    assert tuple(told) == artifacts.tasks(run) == review.left(run).tasks
    assert len(told) == 80


@pytest.mark.parametrize(
    "last", [b"", b"[]", b'{"event": "playbook_on_stats", "event_data": {"ok": [1]}}', b'{"event": "runner_on_ok"}']
)
def test_an_end_that_does_not_count_has_no_counts(tmp_path: Path, last: bytes) -> None:
    run = tmp_path / "run"
    event(run, 1, "runner_on_ok", task="look", host="web1", res={})
    (run / "job_events" / "2-uuid.json").write_bytes(last)

    found = review.left(run)
    assert (found.counts, len(found.tasks)) == ({}, 1)


def test_output_of_any_size_comes_whole(tmp_path: Path, left: Callable[[Path], Path]) -> None:
    run = tmp_path / "run"
    event(run, 1, "x")
    said = os.urandom(5 * entries.CHUNK)
    (run / "stdout").write_bytes(said)

    assert b"".join(artifacts.output(left(run))) == said
    assert b"".join(artifacts.output(tmp_path / "none")) == b""
    whole = artifacts.archive(run)
    assert whole is not None
    with tarfile.open(fileobj=io.BytesIO(b"".join(whole)), mode="r:gz") as opened:
        assert sorted(opened.getnames()) == ["job_events/1-uuid.json", "stdout"]
    assert artifacts.archive(tmp_path / "none") is None
