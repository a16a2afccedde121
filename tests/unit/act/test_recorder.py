from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.act.order import Ended
from orchestrator.act.recorder import BLACKED, Recorder
from orchestrator.domain.ids import RunId
from orchestrator.domain.runs import PlaybookResult, RunStatus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job_events").mkdir()
    return tmp_path


def event(counter: int, **data: Any) -> dict[str, Any]:
    return {"counter": counter, "uuid": f"u{counter}", "event": "runner_on_ok", **data}


def test_events_are_kept_in_order_and_whole(folder: Path) -> None:
    recorder = Recorder(folder, ())
    kept = [recorder.event(event(number)) for number in range(1, 4)]
    recorder.close()

    assert kept == [False, False, False]
    assert sorted(path.name for path in (folder / "job_events").iterdir()) == ["1-u1.json", "2-u2.json", "3-u3.json"]
    assert json.loads((folder / "job_events/2-u2.json").read_text()) == event(2)
    assert [one["counter"] for one in recorder.events] == [1, 2, 3]


@pytest.mark.parametrize("secret", ["hunter22", 'quo"te\\slash', "ünï", "two\nlines"])
def test_a_secret_is_blacked_out_wherever_it_stands(folder: Path, secret: str) -> None:
    recorder = Recorder(folder, (secret,))
    recorder.event(
        event(1, stdout=f"x{secret}y", event_data={"res": {"a": [{"b": secret}], "json": json.dumps(secret)}})
    )
    recorder.close()
    recorder.write("stdout", f"a {secret} and {json.dumps({'k': secret})}")

    text = (folder / "job_events/1-u1.json").read_text() + (folder / "stdout").read_text()
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert text.count(BLACKED) == 5


def test_the_judge_sees_what_really_happened(folder: Path) -> None:
    """A host may be called what a password is: the record is blackened, the outcome is not."""
    recorder = Recorder(folder, ("web1",))
    recorder.event(event(1, event_data={"host": "web1"}))
    recorder.close()
    assert recorder.events[0]["event_data"]["host"] == "web1"


def test_what_can_t_be_written_is_said(folder: Path) -> None:
    (folder / "job_events").rmdir()
    recorder = Recorder(folder, ())
    recorder.event(event(1))
    recorder.close()
    assert recorder.problem == "1-u1.json can't be recorded: No such file or directory"


def test_copies_are_private_and_an_absent_file_is_no_trouble(folder: Path, tmp_path: Path) -> None:
    recorder = Recorder(folder, ("hunter22",))
    (tmp_path / "source").write_text("say hunter22")
    recorder.keep(tmp_path / "source", "stdout")
    recorder.keep(tmp_path / "absent", "stderr")
    assert (folder / "stdout").read_text() == "say ***"
    assert stat.S_IMODE((folder / "stdout").stat().st_mode) == 0o600
    assert not (folder / "stderr").exists()
    assert recorder.problem == ""


def test_half_a_character_pair_is_written_so_that_it_can_be_read_again(folder: Path) -> None:
    recorder = Recorder(folder, ())
    recorder.event(event(1, stdout="a\udc80b"))
    recorder.event(event(2))
    recorder.close()
    recorder.write("stdout", "a\ud800b")

    assert recorder.problem == ""
    assert json.loads((folder / "job_events/1-u1.json").read_text())["stdout"] == "a\udc80b"
    assert (folder / "job_events/2-u2.json").exists()
    assert (folder / "stdout").read_text() == r"a\ud800b"


def test_whatever_goes_wrong_is_said_and_the_rest_is_kept(folder: Path) -> None:
    knot: dict[str, Any] = event(1)
    knot["itself"] = knot
    recorder = Recorder(folder, ())
    recorder.event(knot)
    recorder.event(event(2))
    recorder.close()
    recorder.write("no/such/folder", "x")

    assert recorder.problem.startswith("1-u1.json can't be recorded: RecursionError(")
    assert (folder / "job_events/2-u2.json").exists()


def test_a_result_with_half_a_character_pair_is_written(folder: Path) -> None:
    result = PlaybookResult(run_id=RunId("inc-1-act"), status=RunStatus.FAILED, reason="it said a\udc80b")
    Ended(result=result, settled=True).write(folder)
    assert Ended.read(folder) == Ended(result=result, settled=True)
