"""`healer policy` and the kill switch as a person types them, with real Ansible and a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from orchestrator.domain.runs import RunStatus
from orchestrator.errors import ConfigError
from orchestrator.record.store import open_store
from tests.support.act_stage import Stage, environment, quick, slow, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "healer.toml": 'inventory = "hosts.ini"\nstate_dir = "state"\nfleet_hosts_max = 2\n',
        "hosts.ini": "[web]\nweb1 healing_mode=auto\n[db]\ndb1\n",
        "group_vars/db.yml": 'healing_mode: auto\nhealing_windows: ["Mon..Fri 22:00-06:00 Europe/Berlin"]\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def typed(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(folder / "healer.toml"), *arguments])


def test_each_value_is_shown_with_the_place_that_set_it(folder: Path) -> None:
    shown = json.loads(typed(folder, "policy", "show", "db1", "--json").stdout)

    assert shown["healing_mode"] == {"value": "auto", "where": f"{folder}/group_vars/db.yml, line 1"}
    assert shown["healing_windows"] == {
        "value": ["Mon..Fri 22:00-06:00 Europe/Berlin"],
        "where": f"{folder}/group_vars/db.yml, line 2",
    }
    assert shown["healing_max_risk"] == {"value": "medium", "where": "default"}
    assert shown["healing_actions"] == {"value": "all", "where": "default"}
    assert shown["healing_approvers"] == {"value": "whoever may answer at all", "where": "default"}
    assert shown["fleet_hosts_max"] == {"value": 2, "where": f"{folder}/healer.toml, line 3"}
    assert shown["budget_fleet_per_day"] == {"value": 100, "where": "default"}
    assert "stopped" not in shown
    assert not (folder / "state").exists()


def test_what_stops_all_healing_is_shown_once_there_is_a_record(folder: Path) -> None:
    assert typed(folder, "stop", "--reason", "moving the data centre").exit_code == 0

    shown = typed(folder, "policy", "show", "db1").stdout.splitlines()

    assert [line.split() for line in shown if line.startswith(("sick_groups", "open_breakers"))] == [
        ["sick_groups", "none", "the", "record"],
        ["open_breakers", "none", "the", "record"],
    ]
    assert any(line.startswith("stopped") and "moving the data centre" in line for line in shown)


def test_cases_are_tried_on_the_real_inventory_and_one_that_fails_is_the_exit_code(folder: Path) -> None:
    case = "{host: db1, action: restart_service, parameters: {service: postgresql}, "
    cases = folder / "cases.yml"
    cases.write_text(
        f"- {case} at: 2026-03-02T12:00:00+01:00, outcome: needs_approval, rule: window}}\n"
        f"- {case} at: 2026-03-02T23:00:00+01:00, outcome: allowed}}\n"
        f"- {case} at: 2026-03-02T23:00:00+01:00, case: by mistake, outcome: denied}}\n"
    )

    result = typed(folder, "policy", "test", str(cases))

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        f"pass  restart_service on db1 ({cases}, line 1)",
        f"pass  restart_service on db1 ({cases}, line 2)",
    ]
    assert lines[2] == f"FAIL  by mistake ({cases}, line 3)"
    assert lines[3].startswith("      wanted denied, got allowed by rule allowed: ")
    assert lines[4] == "2 of 3 cases passed."


@pytest.mark.parametrize(
    "arguments",
    [("policy", "show", "db1"), ("policy", "test", "cases.yml"), ("doctor",), ("explain", "--jsonl")],
    ids=" ".join,
)
def test_an_action_that_there_is_not_is_said_before_healer_serve_refuses_it(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    with (folder / "group_vars" / "db.yml").open("a", encoding="utf-8") as file:
        file.write("healing_actions: [restart_servic]\n")
    cases = folder / "cases.yml"
    cases.write_text("- {host: web1, action: clear_cache, outcome: allowed}\n", encoding="utf-8")
    line = json.dumps({"unit": "x.service", "message": "x.service: Failed", "priority": 3, "host": "db1"})

    words = [str(cases) if one == "cases.yml" else one for one in arguments]
    result = CliRunner().invoke(app, ["--config", str(folder / "healer.toml"), *words], input=f"{line}\n")

    said = f"{result.output} {result.exception}"
    assert "db1: healing_actions holds 'restart_servic', which is no action; did you mean restart_service?" in said
    assert f"It is set in {folder}/group_vars/db.yml, line 3." in said


def test_a_breaker_is_told_to_count_anew_with_a_reason(folder: Path) -> None:
    unknown = typed(folder, "policy", "reset-breaker", "--reason", "mended", "--action", "restart_servce")
    assert isinstance(unknown.exception, ConfigError)
    assert "There is no action 'restart_servce'" in str(unknown.exception)
    assert isinstance(typed(folder, "policy", "reset-breaker", "--reason", " ").exception, ConfigError)

    assert typed(folder, "policy", "reset-breaker", "--reason", "mended").exit_code == 0

    store = open_store(f"sqlite:///{folder / 'state' / 'healer.sqlite'}")
    assert store.breaker_resets().keys() == {""}
    assert "had the breaker of the fleet count anew: mended" in store.events()[-1].text
    store.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "stage", environment())
    yield made
    made.store.close()


def test_the_kill_switch_ends_what_runs_and_stays_after_a_restart(stage: Stage) -> None:
    running, mark = slow(stage)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(stage.executor.execute, running)
        until(mark.exists)
        said = typed(stage.folder, "stop", "--reason", "wrong host")
        assert result.result().status is RunStatus.CANCELED
    assert said.stdout.splitlines() == [f"Stopped: nothing acts until `healer start`. Canceled: {running.run_id}."]

    stage.store.close()
    stage.store = open_store(stage.settings.database_url)
    job, never = quick(stage, number=2)
    after = stage.another().execute(job)

    assert (after.status, never.exists()) == (RunStatus.REFUSED, False)
    assert "wrong host" in after.reason
