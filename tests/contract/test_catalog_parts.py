"""All parts of an action agree: folder, role, specs, scenario, words, and the protocol of messages."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import catalog
from orchestrator.act.outcome import REFUSED, SICK
from orchestrator.collect import inspection
from orchestrator.domain.actions import Action
from orchestrator.guard import protected
from tests.support import role_tables

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = catalog.load(ROOT / "playbooks", ROOT / "roles").actions
#: Modules that only look or judge: all that a verify may use.
LOOKING = {"command", "fail", "assert", "stat", "import_tasks"}
KEYWORDS = {
    *(
        "name",
        "register",
        "when",
        "vars",
        "changed_when",
        "failed_when",
        "check_mode",
        "no_log",
        "loop",
        "environment",
    )
}

each_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))


def tasks(role: Path, entry: str) -> Iterator[dict[str, Any]]:
    """The tasks of a role's file, in blocks too, and of the files that it imports."""
    for task in flat(yaml.safe_load((role / "tasks" / f"{entry}.yml").read_text(encoding="utf-8"))):
        yield task
        imported = task.get("ansible.builtin.import_tasks")
        if imported:
            yield from tasks(role, imported.removesuffix(".yml"))


def flat(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in found:
        if "block" in task:
            yield from flat([*task["block"], *task.get("rescue", ()), *task.get("always", ())])
        else:
            yield task


def modules(task: dict[str, Any]) -> set[str]:
    return set(task) - KEYWORDS


def words(task: dict[str, Any]) -> str:
    """What a task says where it fails."""
    return str((task.get("ansible.builtin.fail") or {}).get("msg", ""))


def entries(action: Action) -> list[str]:
    return ["main", "verify", *(["rollback"] if action.reversible else [])]


def test_first_actions_are_there() -> None:
    assert {"restart_service", "fix_permissions", "free_disk_space"} <= set(ACTIONS)


def test_nothing_is_left_over_without_its_action() -> None:
    folders = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}

    assert folders == set(ACTIONS)
    assert roles == set(ACTIONS)


@each_action
def test_playbooks_are_thin(action: Action) -> None:
    for kind in ("act", "verify", "rollback"):
        playbook = action.playbook(kind)
        if playbook.exists():
            assert 5 <= len(playbook.read_text(encoding="utf-8").splitlines()) <= 10, playbook


@each_action
def test_scenario_runs_the_production_playbooks(action: Action) -> None:
    scenario = ROOT / "molecule" / action.id

    def imported(name: str) -> list[str]:
        plays = yaml.safe_load((scenario / name).read_text(encoding="utf-8"))
        return [play["ansible.builtin.import_playbook"] for play in plays if "ansible.builtin.import_playbook" in play]

    here = f"../../playbooks/{action.id}"
    assert imported("converge.yml") == [f"{here}/act.yml"]
    assert imported("verify.yml") == [f"{here}/verify.yml", *([f"{here}/rollback.yml"] if action.reversible else [])]
    assert (scenario / "prepare.yml").exists()


@each_action
def test_scenario_asks_for_what_must_be_refused(action: Action) -> None:
    plays = yaml.safe_load((ROOT / "molecule" / action.id / "verify.yml").read_text(encoding="utf-8"))
    asked = [
        task
        for play in plays
        for task in play.get("tasks", ())
        if task.get("ansible.builtin.include_tasks") == "../shared/refused.yml"
    ]

    assert asked
    assert all(task["vars"]["role"] == action.id and task["vars"]["because"] for task in asked)


@each_action
def test_every_task_is_named_and_needs_no_galaxy(action: Action) -> None:
    for entry in entries(action):
        for task in tasks(action.role, entry):
            assert task.get("name"), task
            assert len(modules(task)) == 1, task
            assert modules(task).pop().startswith("ansible.builtin."), task


@each_action
def test_probes_run_in_check_mode_and_change_nothing(action: Action) -> None:
    for entry in entries(action):
        for task in tasks(action.role, entry):
            if task.get("changed_when") is False:
                assert task.get("check_mode") is False, task


@each_action
def test_no_task_hides_its_run_from_the_probe(action: Action) -> None:
    """What a task says of the environment wins over the play's HEALING_RUN."""
    found = [task.get("environment", {}) for entry in entries(action) for task in tasks(action.role, entry)]

    assert all(set(environment) <= {"TMP"} for environment in found)


@each_action
def test_verify_only_looks_and_says_sick(action: Action) -> None:
    found = list(tasks(action.role, "verify"))

    assert {module.removeprefix("ansible.builtin.") for task in found for module in modules(task)} <= LOOKING
    assert all(task["changed_when"] is False for task in found if "ansible.builtin.command" in task)
    assert any(words(task).startswith(SICK) for task in found)
    assert not any(words(task).startswith(REFUSED) for task in found)


@each_action
def test_act_refuses_before_it_changes_anything(action: Action) -> None:
    found = list(tasks(action.role, "main"))

    refusals = [number for number, task in enumerate(found) if words(task).startswith(REFUSED)]
    assert refusals
    for task in found[: refusals[-1]]:
        harmless = "ansible.builtin.fail" in task or "ansible.builtin.import_tasks" in task
        assert harmless or task.get("changed_when") is False, task
    assert not any(words(task).startswith(SICK) for task in found)


@each_action
def test_what_a_shell_is_handed_is_fixed(action: Action) -> None:
    """A unit's name or a host's word is an argument of a script, and never a part of it."""
    for entry in entries(action):
        for task in tasks(action.role, entry):
            argv = (task.get("ansible.builtin.command") or {}).get("argv", [])
            script = argv[argv.index("-c") + 1] if "-c" in argv and isinstance(argv, list) else ""
            assert "{{" not in script or re.fullmatch(
                r"\{\{ lookup\('ansible\.builtin\.file', '\w+\.sh'\) \}\}", script
            )


@each_action
def test_folder_and_role_hold_plain_files_alone(action: Action) -> None:
    """The digest covers every file: what a tool leaves there would change what was approved."""
    for path in [*action.folder.rglob("*"), *action.role.rglob("*")]:
        assert not path.is_symlink(), path
        assert path.is_dir() or path.suffix in {".yml", ".py", ".sh", ".md"}, path
        assert path.name != "__pycache__", path


@each_action
def test_readme_says_what_a_failure_leaves_and_has_the_tables_of_the_spec(action: Action) -> None:
    said = (action.role / "README.md").read_text(encoding="utf-8")

    assert said.startswith(f"# {action.id}\n\n")
    assert "\n\nIf it fails: " in said
    assert f"(../../docs/actions.md#{action.id})" in said
    assert role_tables.written(action.role) == said, "run scripts/role-tables"


@each_action
def test_words_stand_in_the_documentation(action: Action) -> None:
    page = (ROOT / "docs" / "actions.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {action.id}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/actions.md lacks the heading {action.id}"
    section = " ".join(found[1].split())

    undo = "can be undone" if action.reversible else "can't be undone"
    limits = f"Limits: {action.task_timeout} s a task, {action.run_timeout} s a run; looks after "
    assert f"**{action.title}.** Risk {action.risk}; {undo}. {limits}" in section
    assert f"looks after {action.settle_seconds:g} s, holds for {action.hold_seconds:g} s." in section
    assert f"*When:* {action.when}" in section
    assert f"*Not when:* {action.not_when}" in section
    for parameter in action.parameters:
        assert f"- `{parameter.name}` ({parameter.source}): {parameter.description}" in section
    following = f"*Then:* `{action.follow_up.action}`: {action.follow_up.when}" if action.follow_up else "*Then:*"
    assert (following in section) is (action.follow_up is not None)


def test_documentation_has_no_action_too_many() -> None:
    page = (ROOT / "docs" / "actions.md").read_text(encoding="utf-8")

    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == sorted(ACTIONS)


@pytest.mark.parametrize("role", ["kill_zombie_process", "reload_config", "restart_service"])
def test_role_protects_the_same_units_as_policy(role: str) -> None:
    """The role is the second look at the same question: a list that lags behind would be a hole."""
    told = yaml.safe_load((ROOT / "roles" / role / "vars/main.yml").read_text(encoding="utf-8"))

    assert tuple(told[f"{role}_protected"]) == protected.PROTECTED


def test_roles_spare_the_same_targets_as_policy() -> None:
    told = yaml.safe_load((ROOT / "roles/restart_service/vars/main.yml").read_text(encoding="utf-8"))
    zombies = runpy.run_path(str(ROOT / "roles/kill_zombie_process/files/zombies.py"))

    assert set(told["restart_service_vital_targets"]) == set(zombies["VITAL"]) == protected.VITAL_TARGETS


def test_roles_know_the_same_tests_of_a_configuration() -> None:
    told = yaml.safe_load((ROOT / "roles/restart_service/vars/main.yml").read_text(encoding="utf-8"))
    reload = runpy.run_path(str(ROOT / "roles/reload_config/files/configuration.py"))

    assert told["restart_service_tests"] == {name: " ".join(command) for name, command in reload["TESTS"].items()}


def test_role_forbids_the_same_paths_as_policy() -> None:
    told = runpy.run_path(str(ROOT / "roles/fix_permissions/files/file_mode.py"))

    assert told["FORBIDDEN_NAMES"] == protected.FORBIDDEN_NAMES
    assert told["FORBIDDEN_TREES"] == protected.FORBIDDEN_TREES
    assert told["FORBIDDEN_PARTS"] == protected.FORBIDDEN_PARTS


def test_role_and_policy_know_the_same_folders_of_a_service() -> None:
    told = runpy.run_path(str(ROOT / "roles/fix_permissions/files/file_mode.py"))

    assert told["OWN_FOLDERS"] == inspection.OWN_FOLDERS
