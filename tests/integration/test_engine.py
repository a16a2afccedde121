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
            engine.start("plan", "i1", "i1")
        wait_for(lambda: "two" in seen)
        engine.close()
        """
    run(tmp_path, body, expect=9)

    run(tmp_path, body)

    assert (tmp_path / "seen").read_text().split() == ["one", "two"]


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
