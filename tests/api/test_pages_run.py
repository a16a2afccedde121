"""The review of a run: each host's tasks on a line of time, what each was given, and what it changed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.pages.runs import lines
from orchestrator.domain.runs import RunKind
from orchestrator.record import artifacts, review
from orchestrator.record.artifacts import Task
from tests.api.conftest import Stage, run, wave_run
from tests.api.test_insights import breaks_out
from tests.api.test_pages import EVIL, HTML

BEGAN = datetime(2026, 1, 31, 8, tzinfo=UTC)


def event(folder: Path, number: int, host: str, *, after: float = 0.0, seconds: float = 1.0, **result: Any) -> None:
    """How a task ended, as a run records it."""
    start = BEGAN + timedelta(seconds=after)
    data = {"task": f"task {number}", "host": host, "start": start.isoformat(), "duration": seconds, "res": result}
    (folder / "job_events").mkdir(parents=True, exist_ok=True)
    (folder / "job_events" / f"{number}-x.json").write_text(
        json.dumps({"event": "runner_on_ok", "event_data": data}), encoding="utf-8"
    )


def task(host: str, after: float, seconds: float = 1.0) -> Task:
    return Task(name="t", host=host, outcome="ok", seconds=seconds, started=BEGAN + timedelta(seconds=after))


def test_tasks_stand_where_they_were_in_time_each_host_on_its_own_line() -> None:
    found = [task("web1", 0), task("web2", 0, 2), task("web1", 5, 5)]

    one, two = lines(found, {}, BEGAN, BEGAN + timedelta(seconds=10))

    assert (one.host, [(bar.left, bar.width) for bar in one.bars]) == ("web1", [(0, 10), (50, 50)])
    assert (two.host, [(bar.left, bar.width) for bar in two.bars]) == ("web2", [(0, 20)])
    assert (one.counts, two.counts) == ([("ok", 2)], [("ok", 1)])


@pytest.mark.parametrize("after", [-100, 0, 3, 1e6])
@pytest.mark.parametrize("seconds", [0, 1e-3, 10, 1e6])
def test_what_a_clock_says_never_leaves_the_picture(after: float, seconds: float) -> None:
    found = [task("web1", 0), task("web1", after, seconds), Task(name="t", host="web1", outcome="ok", seconds=seconds)]

    for bar in lines(found, {}, BEGAN, BEGAN)[0].bars:
        assert 0 <= bar.left <= 99
        assert 0 < bar.width <= 100 - bar.left + 1e-9


def test_the_counts_are_of_all_tasks_and_not_of_those_on_the_page() -> None:
    found = [task("web1", number) for number in range(5)]

    (line,) = lines(found[:2], {"web1": {"ok": 5}}, BEGAN, None)

    assert (line.counts, len(line.bars)) == ([("ok", 5)], 2)


def test_a_run_shows_arguments_output_and_differences_in_colour_and_as_text(stage: Stage) -> None:
    made = run(stage.store, stage.open(), RunKind.ACT)
    folder = stage.state().settings.artifacts_dir / made
    difference = [{"before_header": EVIL, "before": "old\n", "after": f"new {EVIL}\n"}]
    arguments = {"dest": "/opt/x", "content": EVIL}
    event(
        folder,
        1,
        "web1",
        changed=True,
        diff=difference,
        invocation={"module_args": arguments},
        stdout=f"\x1b[31m{EVIL}",
    )
    with stage.client(token=False) as client:
        page = client.get(f"/runs/{made}", headers=HTML).text
        (told,) = client.get(f"/api/v1/runs/{made}").json()["tasks"]

    assert '<span class="minus">-old</span>' in page
    assert '<span class="plus">+new &lt;script&gt;' in page
    assert "<li>dest: <code>/opt/x</code></li>" in page
    assert '<span class="ansi1">&lt;script&gt;alert(1)' in page
    assert "<summary>Arguments and output</summary>" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert told["started"] == "2026-01-31T08:00:00Z"
    assert told["details"]["arguments"] == [["dest", "/opt/x"], ["content", EVIL]]
    assert "-old" in told["details"]["difference"].splitlines()


def test_a_run_that_goes_on_asks_again_for_the_part_that_is_shown(stage: Stage) -> None:
    going = run(stage.store, stage.open(), RunKind.ACT, status=None)
    with stage.client(token=False) as client:
        answer = client.get(f"/runs/{going}?after=1", headers=HTML)

    assert answer.status_code == 200
    assert f'hx-get="/runs/{going}?after=1"' in answer.text


def test_a_run_over_several_hosts_says_how_each_ended(stage: Stage) -> None:
    outbreak, _ = breaks_out(stage)
    made = wave_run(stage.store, outbreak, 2, RunKind.ACT, "web2", "lab1")
    folder = stage.state().settings.artifacts_dir / made
    event(folder, 1, "web2")
    event(folder, 2, "lab1", changed=True)
    with stage.client(token=False) as client:
        page = client.get(f"/runs/{made}", headers=HTML).text

    assert re.findall(r'<th scope="row"><a href="/hosts/(\w+)">', page) == ["web2", "lab1"]
    assert re.findall(r"<h3>(\w+)", page) == ["web2", "lab1"]


def test_of_a_monstrous_run_details_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "DETAILS_LIMIT", 1000)
    for number in range(1, 21):
        event(tmp_path, number, "web1", stdout="x" * 300)

    found = review.left(tmp_path).tasks

    assert len(found) == 20
    assert 0 < sum(one.details.size for one in found) <= 1000


def test_a_runs_own_events_come_in_order_page_by_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(stage.store, stage.open(), RunKind.ACT)
    folder = stage.state().settings.artifacts_dir / made
    for number in (3, 1, 10, 2):
        event(folder, number, "web1")
    event(folder, 7, "web1", msg="x" * 2000)
    (folder / "job_events" / "9-partial.json").write_text('{"event": "cut', encoding="utf-8")
    (folder / "job_events" / "x-y.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(artifacts, "EVENT_LIMIT", 1000)
    seen: list[dict[str, Any]] = []
    following: str | None = f"/api/v1/runs/{made}/events?limit=4"
    with stage.client() as client:
        while following:
            page = client.get(following).json()
            seen += page["items"]
            following = page["next"]

    assert [one["number"] for one in seen] == [1, 2, 3, 7, 9, 10]
    assert [one["event"] for one in seen] == [*["runner_on_ok"] * 3, "", "", "runner_on_ok"]
    assert seen[0]["data"]["task"] == "task 1"
