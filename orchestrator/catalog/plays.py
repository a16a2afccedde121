"""What an action's playbooks may be: thin, one play, one role, nothing that could widen a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.catalog.rows import near, read
from orchestrator.errors import CatalogError

#: The playbook's file -> the role's entry point that it runs.
ENTRIES = {"act": "main", "verify": "verify", "rollback": "rollback"}
ROLE_MODULES = ("ansible.builtin.import_role", "ansible.builtin.include_role")
#: What every play says, word for word, and why it must.
_FIXED: dict[str, tuple[Any, str]] = {
    "hosts": ("all", "the run's inventory holds only the permitted hosts"),
    "gather_facts": (False, "facts cost time and nothing reads them"),
    "become": (True, "the roles need root"),
}
_KEYS = ("name", *_FIXED, "environment", "tasks")
#: Every process of a run carries its id, so that a probe can find what is left of it.
_ENVIRONMENT = {"HEALING_RUN": "{{ healing_run_id }}"}


def check(file: Path, action: str) -> None:
    """Raises CatalogError unless the playbook is one play of the fixed form that runs the action's role."""
    content = read(file)
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        raise CatalogError(f"{file} must hold exactly one play; put everything else into the role.")
    play: dict[str, Any] = content[0]
    for key in play:
        if key not in _KEYS:
            raise CatalogError(f"{file}: the play's key {key} is unknown{near(str(key), _KEYS)}; put it into the role.")
    for key, (value, reason) in _FIXED.items():
        if play.get(key) != value:
            said = str(value).lower() if isinstance(value, bool) else value
            raise CatalogError(f"{file}: the play must say `{key}: {said}`, because {reason}.")
    if play.get("environment") != _ENVIRONMENT:
        raise CatalogError(
            f'{file}: the play must say `environment: {{HEALING_RUN: "{{{{ healing_run_id }}}}"}}` and nothing else '
            "there, because a probe finds a run's processes by it."
        )
    _check_role(file, play.get("tasks"), action)


def _check_role(file: Path, tasks: Any, action: str) -> None:
    entry = ENTRIES[file.stem]
    form = f"one task with {ROLE_MODULES[0]} of the role {action} and `tasks_from: {entry}`"
    if not isinstance(tasks, list) or len(tasks) != 1 or not isinstance(tasks[0], dict):
        raise CatalogError(f"{file}: the play must hold {form}.")
    task: dict[str, Any] = tasks[0]
    module = next((name for name in ROLE_MODULES if name in task), None)
    if module is None or set(task) - {"name", module} or not isinstance(task[module], dict):
        raise CatalogError(f"{file}: the play must hold {form}, and no more.")
    role = task[module]
    given = str(role.get("tasks_from", "main"))
    if given != entry and Path(given).stem == entry:
        raise CatalogError(
            f"{file}: `tasks_from: {given}` has an extension, which silently skips the argument spec; write "
            f"`tasks_from: {entry}`."
        )
    if set(role) - {"name", "tasks_from"} or role.get("name") != action or given != entry:
        raise CatalogError(f"{file}: the play must hold {form}, and no more.")
