"""What the tasks of an action's role may be: there, with all that they read, and no command without a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.catalog.rows import read
from orchestrator.errors import CatalogError

#: Modules that run other tasks of the role, and those that hand a line to a shell.
_IMPORTS = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
_SHELLS = ("shell", "script")
_BLOCKS = ("block", "rescue", "always")
#: A program that the role names once, in vars/main.yml; and one that is written where it is used.
_NAMED = re.compile(r"\s*\{\{\s*(\w+)")
_WRITTEN = re.compile(r"\s*\{\{\s*\['(timeout)', '(\w+)'")
#: A file of the role that is read on the controller.
_LOOKUP = re.compile(r"""lookup\('(?:ansible\.builtin\.)?file', '([^']+)'\)""")


def check(role: Path, entry: str, limit: int) -> None:
    """Raises CatalogError unless the entry point's tasks are all there and each command carries its own limit.

    `limit`: seconds of a task. Ansible's own limit ends the task, and would leave the command at work on the host.
    """
    file = role / "tasks" / f"{entry}.yml"
    content = read(file)
    for name in _LOOKUP.findall(file.read_text(encoding="utf-8")):
        if not (role / "files" / name).is_file():
            raise CatalogError(f"{file} reads files/{name} of its role, which is missing; write it.")
    for task in _tasks(content, file):
        where = f"{file}: the task {str(task.get('name', 'without a name'))[:80]!r}"
        for module, arguments in task.items():
            if module in _IMPORTS:
                imported = str(arguments.get("file") if isinstance(arguments, dict) else arguments)
                if not (role / "tasks" / imported).is_file():
                    raise CatalogError(f"{where} imports {imported}, which is missing; write it.")
                check(role, imported.removesuffix(".yml"), limit)
            kind = str(module).rpartition(".")[2]
            if kind in _SHELLS:
                raise CatalogError(f"{where} hands a line to a shell; use a module, or command with argv.")
            if kind == "command":
                _limited(where, role, arguments, limit)


def _tasks(content: Any, file: Path) -> Iterator[dict[str, Any]]:
    """Every task, those in blocks too."""
    if not isinstance(content, list) or not content or not all(isinstance(one, dict) for one in content):
        raise CatalogError(f"{file} holds no list of tasks; write them.")
    for task in content:
        yield task
        for key in _BLOCKS:
            if key in task:
                yield from _tasks(task[key], file)


def _limited(where: str, role: Path, arguments: Any, limit: int) -> None:
    argv = arguments.get("argv") if isinstance(arguments, dict) else None
    if isinstance(argv, str):
        argv = _begin(role, argv)
    seconds = str(argv[1]) if isinstance(argv, list) and len(argv) > 1 and argv[0] == "timeout" else ""
    if not re.fullmatch(r"[1-9][0-9]*", seconds):
        raise CatalogError(
            f"{where} runs a command without a limit of its own; begin its argv with timeout and seconds."
        )
    if int(seconds) >= limit:
        raise CatalogError(f"{where} limits its command to {seconds} s; stay below task_timeout_seconds ({limit}).")


def _begin(role: Path, expression: str) -> Any:
    """The list that an expression begins with."""
    written, named = _WRITTEN.match(expression), _NAMED.match(expression)
    variables = role / "vars" / "main.yml"
    if named and variables.is_file():
        return (read(variables) or {}).get(named[1])
    return list(written.groups()) if written else None
