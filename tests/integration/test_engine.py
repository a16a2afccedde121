"""The durable engine on a real SQLite: order, one slot a host, recovery, one worker a folder."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys, threading, time
from pathlib import Path
from orchestrator.engine import DurableEngine, EngineClient

folder = Path(sys.argv[1])
url = f"sqlite:///{folder / 'engine.sqlite'}"
seen, lock = [], threading.Lock()

def note(text):
    with lock:
        seen.append(text)
        with (folder / "seen").open("a") as file:
            file.write(text + "\\n")

def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)

"""


def run(folder: Path, body: str, *, expect: int = 0) -> str:
    """DBOS is one a process, so each case is a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM + textwrap.dedent(body), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_the_same_id_runs_once_and_a_host_has_one_slot(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        busy, worst = {}, [0]
        def apply(argument):
            def act():
                with lock:
                    busy["h"] = busy.get("h", 0) + 1
                    worst[0] = max(worst[0], busy["h"])
                time.sleep(0.2)
                with lock:
                    busy["h"] -= 1
                note(argument)
            engine.step("act", act)
        engine = DurableEngine(url, folder / "lock", {"apply": apply}, 4)
        engine.launch()
        client = EngineClient(url)
        for name in ("a", "b", "a", "c", "b"):
            client.start("apply", name, name, host="h")
        wait_for(lambda: len(seen) >= 3)
        client.start("apply", "last", "last", host="h")
        wait_for(lambda: "last" in seen)
        assert sorted(seen) == ["a", "b", "c", "last"], seen
        assert worst[0] == 1, worst
        client.close(); engine.close()
        """,
    )


def test_a_cut_workflow_goes_on_at_the_next_launch_without_repeating_its_steps(tmp_path: Path) -> None:
    body = """
        import os
        def plan(argument):
            engine.step("one", lambda: note("one"))
            if not (folder / "again").exists():
                (folder / "again").touch()
                os._exit(9)
            engine.step("two", lambda: note("two"))
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        if not (folder / "again").exists():
            engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: "two" in seen)
        engine.close()
        """
    run(tmp_path, body, expect=9)

    run(tmp_path, body)

    assert (tmp_path / "seen").read_text().split() == ["one", "two"]


def test_a_step_whose_result_finds_no_room_waits_for_it_and_is_not_run_again(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        import sqlalchemy as sa
        import orchestrator.engine as module
        most, refused, made = [1], [], module.database
        def small(url):
            database = made(url)
            # A number below what the file has means: it may not grow.
            sa.event.listen(database, "begin", lambda one: one.exec_driver_sql(f"PRAGMA max_page_count={most[0]}"))
            sa.event.listen(database, "rollback", lambda one: refused.append(1))
            return database
        module.database = small
        def plan(argument):
            def one():
                refused.clear()
                most[0] = 1
                note("one")
                return "x" * 1_000_000
            engine.step("one", one)
            engine.step("two", lambda: note("two"))
        most[0] = 1_000_000
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: seen and refused)
        most[0] = 1_000_000
        wait_for(lambda: "two" in seen)
        wait_for(lambda: not engine.alive("i1"))
        assert seen == ["one", "two"], seen
        engine.close()
        """,
    )


def test_a_second_worker_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        from orchestrator.errors import ConfigError
        engine = DurableEngine(url, folder / "lock", {}, 1)
        try:
            DurableEngine(url, folder / "lock", {}, 1)
        except ConfigError as error:
            print(error)
        engine.close()
        """,
    )

    assert "Another healer serve (pid" in output


def test_a_client_without_a_worker_ever_says_to_start_one(tmp_path: Path) -> None:
    from orchestrator.engine import EngineClient
    from orchestrator.errors import StoreUnavailable

    with pytest.raises(StoreUnavailable, match="healer serve"):
        EngineClient(f"sqlite:///{tmp_path / 'engine.sqlite'}")


def test_a_sqlite_that_answers_no_subseconds_gets_its_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator import engine

    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))

    database = engine.database(f"sqlite:///{tmp_path / 'engine.sqlite'}")
    with database.connect() as connection:
        now = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()
    database.dispose()

    assert isinstance(now, float)


def test_a_sqlite_without_returning_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator import engine
    from orchestrator.errors import ConfigError

    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(ConfigError, match="too old"):
        engine.database(f"sqlite:///{tmp_path / 'engine.sqlite'}")


def test_a_step_that_is_interrupted_records_nothing_and_runs_again_at_the_next_launch(tmp_path: Path) -> None:
    body = """
        from orchestrator.errors import Interrupted
        ending = not (folder / "seen").exists()
        def plan(argument):
            def ask():
                note("asked")
                if ending:
                    raise Interrupted
                return "answer"
            note(engine.step("ask", ask))
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        if ending:
            engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: ("asked" if ending else "answer") in seen)
        if ending:
            assert engine.alive("i1")
        else:
            wait_for(lambda: not engine.alive("i1"))
        engine.close()
        """

    run(tmp_path, body)
    run(tmp_path, body)

    assert (tmp_path / "seen").read_text().split() == ["asked", "asked", "answer"]


def test_another_name_of_the_machine_recovers_what_the_former_left(tmp_path: Path) -> None:
    body = """
        import os
        from collections import namedtuple
        os.uname = lambda: namedtuple("uname", "nodename")("HOSTNAME")
        def apply(argument):
            engine.step("one", lambda: note("one"))
            if "HOSTNAME" == "first":
                os._exit(9)
            engine.step("two", lambda: note("two"))
        engine = DurableEngine(url, folder / "lock", {"apply": apply}, 4)
        engine.launch()
        if "HOSTNAME" == "first":
            engine.start("apply", "i1-apply", "i1", host="web1")
        wait_for(lambda: "two" in seen)
        engine.close()
        """

    run(tmp_path, body.replace("HOSTNAME", "first"), expect=9)
    run(tmp_path, body.replace("HOSTNAME", "second"))


def test_a_host_with_many_plans_delays_no_other_host(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        free = threading.Event()
        def plan(argument):
            note(argument)
            if argument.startswith("hostile"):
                free.wait(60)
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        for number in range(20):
            engine.start("plan", f"hostile-{number}", f"hostile-{number}", host="hostile")
        wait_for(lambda: "hostile-0" in seen)
        engine.start("plan", "good", "good", host="good")
        wait_for(lambda: "good" in seen)
        assert len([one for one in seen if one.startswith("hostile")]) == 1, seen
        free.set()
        engine.close()
        """,
    )


def test_a_workflow_without_the_host_that_it_needs_is_refused(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        engine = DurableEngine(url, folder / "lock", {"plan": lambda argument: None}, 4)
        engine.launch()
        try:
            engine.start("plan", "i1", "i1")
        except ValueError as error:
            assert "needs the host" in str(error)
        else:
            raise AssertionError("it was accepted")
        engine.close()
        """,
    )


def test_a_drain_waits_for_what_runs_and_leaves_the_rest_to_the_next_launch(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        free = threading.Event()
        def plan(argument):
            engine.step("one", lambda: note(argument))
            free.wait(60)
            engine.step("two", lambda: note(argument + " ended"))
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: "i1" in seen)
        drained = []
        waiter = threading.Thread(target=lambda: drained.append(engine.drain(60, threading.Event())))
        waiter.start()
        wait_for(engine._draining.is_set)
        engine.start("plan", "i2", "i2", host="web2")
        # It is taken from its queue, and begins nothing.
        wait_for(lambda: engine._dbos.get_workflow_status("i2").status == "PENDING")
        assert not drained
        free.set()
        waiter.join()
        assert drained == [()], drained
        assert seen == ["i1", "i1 ended"], seen
        engine.close()
        """,
    )
    run(
        tmp_path,
        """
        engine = DurableEngine(url, folder / "lock", {"plan": note}, 4)
        engine.launch()
        wait_for(lambda: "i2" in seen)
        assert seen == ["i2"], seen
        engine.close()
        """,
    )


def test_a_drain_is_cut_short_by_its_limit_or_by_hurry(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        free = threading.Event()
        def plan(argument):
            note(argument)
            free.wait(60)
        engine = DurableEngine(url, folder / "lock", {"plan": plan}, 4)
        engine.launch()
        engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: "i1" in seen)
        assert engine.drain(0.01, threading.Event()) == ("i1",)
        hurry = threading.Event()
        threading.Timer(0.5, hurry.set).start()
        assert engine.drain(3600, hurry) == ("i1",)
        free.set()
        engine.close()
        """,
    )


def test_a_delay_can_be_read_and_set_anew(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        engine = DurableEngine(url, folder / "lock", {"hold": note}, 4)
        engine.launch()
        engine.start("hold", "h1", "h1", delay=3600)
        assert 3500 < engine.due("h1") <= 3600, engine.due("h1")
        assert engine.due("none") is None
        engine.delay("h1", 0)
        wait_for(lambda: "h1" in seen)
        wait_for(lambda: not engine.alive("h1"))
        assert engine.due("h1") is None
        engine.delay("h1", 60)
        engine.close()
        """,
    )


def test_old_workflows_that_ended_are_forgotten(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        from datetime import UTC, datetime, timedelta
        free = threading.Event()
        def plan(argument):
            note(argument)
            if argument == "failing":
                raise ValueError
            if argument == "running":
                free.wait(60)
        engine = DurableEngine(url, folder / "lock", {"plan": plan, "hold": note}, 4)
        engine.launch()
        for number in range(120):
            engine.start("plan", f"i{number}", f"i{number}", host=f"web{number}")
        engine.start("plan", "failing", "failing", host="web1")
        engine.start("plan", "running", "running", host="web2")
        engine.start("hold", "delayed", "delayed", delay=3600)
        wait_for(lambda: len(seen) == 122)
        wait_for(lambda: not any(engine.alive(name) for name in [*map("i{}".format, range(120)), "failing"]))
        now = datetime.now(UTC)
        assert engine.forget(now - timedelta(days=1)) == 0
        assert engine.forget(now + timedelta(seconds=1)) == 121
        assert engine.alive("running") and engine.alive("delayed")
        free.set()
        wait_for(lambda: not engine.alive("running"))
        engine.start("plan", "i1", "i1", host="web1")
        wait_for(lambda: seen.count("i1") == 2)
        engine.close()
        """,
    )


def test_a_step_starts_no_workflow(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        def plan(argument):
            engine.step("hand over", hand_over)
            engine.start("hold", "next", "next")
        def hand_over():
            try:
                engine.start("apply", "started", "started", host="h")
            except RuntimeError as error:
                note(str(error))
        engine = DurableEngine(url, folder / "lock", {"plan": plan, "apply": note, "hold": note}, 4)
        engine.launch()
        engine.start("plan", "first", "first", host="h")
        wait_for(lambda: "next" in seen)
        assert sorted(seen) == ["apply is started inside a step; start it between steps", "next"], seen
        assert not engine.alive("started")
        engine.close()
        """,
    )
