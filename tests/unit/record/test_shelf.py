"""Artifacts are packed and removed so that a crash at any instant loses none, and its leftovers are finished."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.record import artifacts
from orchestrator.record.shelf import Shelf


def left(folder: Path, run_id: str) -> Path:
    run = folder / run_id
    (run / "job_events").mkdir(parents=True)
    (run / "stdout").write_text(f"{run_id} said so\n")
    (run / "job_events" / "1-x.json").write_text("{}")
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_packed_run_is_one_file_for_us_alone(tmp_path: Path) -> None:
    run = left(tmp_path, "inc-1-act")
    before = Shelf(tmp_path).sizes()["inc-1-act"]

    Shelf(tmp_path).pack("inc-1-act")

    assert names(tmp_path) == ["inc-1-act.tar.gz"]
    assert stat.S_IMODE(artifacts.place(run).stat().st_mode) == 0o600
    assert artifacts.stdout(run) == "inc-1-act said so\n"
    assert 0 < Shelf(tmp_path).sizes()["inc-1-act"] < before
    assert Shelf(tmp_path).unpacked() == []


def crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["fsync", "rename", "rmtree"])
def test_a_crash_while_it_is_packed_leaves_it_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    run = left(tmp_path, "inc-1-act")
    of = {"fsync": os, "rename": Path, "rmtree": shutil}[where]
    # A killed process cleans nothing up.
    monkeypatch.setattr(Path, "unlink", crash)
    monkeypatch.setattr(of, where, crash)
    with pytest.raises(KeyboardInterrupt):
        Shelf(tmp_path).pack("inc-1-act")
    monkeypatch.undo()

    assert artifacts.stdout(run) == "inc-1-act said so\n"
    assert Shelf(tmp_path).unpacked() == ["inc-1-act"]
    Shelf(tmp_path).drop_drafts()
    Shelf(tmp_path).pack("inc-1-act")
    assert names(tmp_path) == ["inc-1-act.tar.gz"]
    assert artifacts.stdout(run) == "inc-1-act said so\n"


def test_without_room_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(tmp_path, "inc-1-act")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Shelf(tmp_path).pack("inc-1-act")

    assert names(tmp_path) == ["inc-1-act"]


def packed(folder: Path) -> None:
    Shelf(folder).pack("inc-1-act")


def both(folder: Path) -> None:
    packed(folder)
    left(folder, "inc-1-act")


@pytest.mark.parametrize("made", [lambda _: None, packed, both], ids=["folder", "packed", "both"])
def test_what_is_cleared_is_listed_until_it_is_forgotten(tmp_path: Path, made: Callable[[Path], None]) -> None:
    run = left(tmp_path, "inc-1-act")
    left(tmp_path, "inc-2-act")
    made(tmp_path)

    Shelf(tmp_path).clear(["inc-1-act"])

    assert artifacts.kept(tmp_path) == ["inc-2-act"]
    assert artifacts.files(run) == ()
    assert Shelf(tmp_path).cleared() == ["inc-1-act"]
    assert not any(path.stat().st_size for path in tmp_path.glob(".*") if path.is_file())
    Shelf(tmp_path).forget(["inc-1-act"])
    assert names(tmp_path) == ["inc-2-act"]
    assert Shelf(tmp_path).cleared() == []


def test_a_crash_while_it_is_cleared_is_finished_by_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(tmp_path, "inc-1-act")
    monkeypatch.setattr(shutil, "rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        Shelf(tmp_path).clear(["inc-1-act"])
    monkeypatch.undo()

    assert Shelf(tmp_path).cleared() == ["inc-1-act"]
    assert list((tmp_path / ".inc-1-act.gone").iterdir()) == []


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    absent = Shelf(tmp_path / "none")

    assert (absent.unpacked(), absent.cleared()) == ([], [])
    absent.drop_drafts()
