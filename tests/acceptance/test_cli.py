"""The command line as a newcomer and as an operator types it; bad input is one sentence."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.acceptance.conftest import HEALER, Healer, wait_for

COMMANDS = (
    "init",
    "doctor",
    "trust",
    "serve",
    "heal",
    "incidents",
    "runs",
    "approvals",
    "actions",
    "explain",
    "memory",
    "stop",
)


def one_sentence(text: str) -> str:
    assert "Traceback" not in text
    assert text.startswith("healer: "), text
    return text


def test_help_names_every_command(healer: Healer) -> None:
    shown = healer("--help").stdout

    assert all(command in shown for command in COMMANDS)


def test_init_writes_a_config_an_inventory_and_a_private_token(healer: Healer, tmp_path: Path) -> None:
    healer("init", str(tmp_path))

    token = tmp_path / ".healing" / "token"
    assert (tmp_path / "healer.toml").is_file()
    assert (tmp_path / "inventory" / "hosts.yml").is_file()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    before = token.read_text()
    healer("init", str(tmp_path))
    assert token.read_text() == before


def test_heal_without_a_worker_exits_at_once_and_says_what_to_start(healer: Healer, tmp_path: Path) -> None:
    config = tmp_path / "healer.toml"
    config.write_text(f'inventory = "{healer.lab.inventory}"\nstate_dir = "state"\n')
    alone = Healer(config=config, lab=healer.lab, port=healer.port)

    done = alone("heal", "web1", check=False)

    assert done.returncode == 75
    assert "Start it: healer serve" in one_sentence(done.stderr)


def test_doctor_finds_every_lab_host_well(healer: Healer) -> None:
    done = healer("doctor", check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"web{number}" in done.stdout for number in (1, 2, 3))


def test_actions_lists_the_whitelist_and_nothing_else(healer: Healer) -> None:
    assert {action["id"] for action in healer.json("actions")} == {
        "restart_service",
        "fix_permissions",
        "free_disk_space",
        "clear_cache",
        "kill_zombie_process",
        "rotate_logs",
        "reload_config",
        "restart_network",
    }


def test_explain_answers_each_line_once_in_order_and_acts_on_nothing(healer: Healer) -> None:
    lines = [
        '{"unit": "nginx.service", "message": "nginx.service: Failed with result \'signal\'.", "priority": 4}',
        "not json",
        "",
        '{"unit": "a.service", "message": "all is well", "priority": 6}',
    ] * 2500

    done = healer("explain", "--jsonl", stdin="\n".join(lines) + "\n")

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 10_000
    assert answers[0]["decision"] == {
        **answers[0]["decision"],
        "action": "restart_service",
        "params": {"service": "nginx"},
    }
    assert answers[0]["verdict"]["outcome"] == "unknown"
    assert "error" in answers[1]
    assert answers[3]["incident"] is False
    assert all(answer["verdict"]["outcome"] != "allowed" for answer in answers)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["incidents", "show", "inc-none"], "no incident inc-none"),
        (["runs", "show", "none"], "no run none"),
        (["approvals", "approve", "apr-none", "--reason", "x"], "no approval apr-none"),
        (["approvals", "approve", "apr-none", "--reason", " "], "--reason is required"),
    ],
)
def test_what_does_not_exist_is_one_sentence(healer: Healer, arguments: list[str], words: str) -> None:
    done = healer(*arguments, check=False)

    assert done.returncode == 78
    assert words in one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('inventroy = "x"', "Did you mean 'inventory'"),
        ('inventory = "nowhere"', "nowhere"),
        ('inventory = "{inventory}"\nplaybooks_dir = "nowhere"', "nowhere"),
    ],
)
def test_a_bad_config_is_one_sentence_before_anything_is_touched(
    healer: Healer, tmp_path: Path, config: str, words: str
) -> None:
    path = tmp_path / "healer.toml"
    path.write_text(config.format(inventory=healer.lab.inventory) + "\n")

    done = Healer(config=path, lab=healer.lab, port=healer.port)("serve", check=False)

    assert done.returncode == 78
    assert words in one_sentence(done.stderr)


def test_an_unknown_host_key_is_refused_and_trust_is_named(healer: Healer, tmp_path: Path) -> None:
    inventory = healer.lab.inventory.read_text().replace(str(healer.lab.known_hosts), str(tmp_path / "known_hosts"))
    (tmp_path / "hosts.yml").write_text(inventory)
    config = tmp_path / "healer.toml"
    config.write_text(f'inventory = "hosts.yml"\nknown_hosts = "{tmp_path / "known_hosts"}"\n')
    stranger = Healer(config=config, lab=healer.lab, port=healer.port)

    before = stranger("doctor", check=False)
    stranger("trust", "--yes")
    after = stranger("doctor", check=False)

    assert before.returncode == 1
    assert "healer trust" in before.stdout
    assert after.returncode == 0, after.stdout


def test_the_kill_switch_stops_every_act_until_it_is_lifted(serving: Healer) -> None:
    serving("stop", "--reason", "acceptance test")
    try:
        serving.lab.break_("nginx-killed", "web2")

        def refused() -> bool:
            return any(
                incident["state"] == "escalated" and "stopped" in incident["reason"]
                for incident in serving.incidents("web2")
            )

        wait_for(refused, "the incident was refused while stopped")
        acts = [run for run in serving.json("runs", "list", "--host", "web2") if "nginx" in str(run["parameters"])]
        assert acts == []
    finally:
        serving("start", "--reason", "acceptance test")
        serving.lab.execute("web2", "systemctl reset-failed nginx; systemctl start nginx")


def test_the_executable_needs_no_environment_of_ours() -> None:
    assert os.access(HEALER, os.X_OK)
