"""Folders of actions and roles -> the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestrator.catalog import following, patterns, plays, tasks
from orchestrator.catalog.rows import ActionRow, EntryRow, OptionRow, SpecRow, near, parse
from orchestrator.domain.actions import ESCALATE, NONE, Action, FollowUp, Parameter, ParameterSource
from orchestrator.errors import CatalogError

#: Options that every run is given, and that no decision fills, with the type and elements of what is given.
CONTEXT = {
    "healing_run_id": ("str", None),
    "healing_safe_directories": ("list", "path"),
    "healing_protected_services": ("list", "str"),
    "healing_permits": ("list", "str"),
}
#: Ansible's type of a source's values.
TYPES = {ParameterSource.UNIT: "str", ParameterSource.PATH: "path", ParameterSource.FILE_SYSTEM: "path"}
_ID = re.compile(r"[a-z_]+")
_SPEC = Path("meta") / "argument_specs.yml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """All actions by id, in the order of their ids."""

    actions: Mapping[str, Action]

    def get(self, action_id: str) -> Action | None:
        """The action of that id; None: not on the whitelist."""
        return self.actions.get(action_id)


def load(playbooks: Path, roles: Path) -> Catalog:
    """Read every folder of `playbooks` with the role of the same name.

    Raises CatalogError: one sentence that names folder, file or key, and the way out.
    """
    try:
        folders = sorted(entry for entry in playbooks.iterdir() if entry.is_dir() and entry.name[0] not in "._")
    except OSError as error:
        raise CatalogError(
            f"The actions' folder {playbooks} can't be read ({error.strerror}); correct playbooks_dir in the config "
            "file."
        ) from error
    if not folders:
        raise CatalogError(f"{playbooks} holds no action; correct playbooks_dir in the config file.")
    actions = {folder.name: _action(folder, roles / folder.name) for folder in folders}
    following.check(actions)
    return Catalog(actions=MappingProxyType(actions))


def _action(folder: Path, role: Path) -> Action:
    name = folder.name
    if not _ID.fullmatch(name) or name in (ESCALATE, NONE):
        raise CatalogError(
            f"{folder}: {name!r} can't be an action's id; name the folder with small letters and _ alone, "
            f"and neither {ESCALATE} nor {NONE}."
        )
    file = folder / "action.yml"
    row = parse(file, ActionRow)
    if row.run_timeout_seconds < row.task_timeout_seconds:
        raise CatalogError(f"{file}: run_timeout_seconds is less than task_timeout_seconds; make it at least as long.")
    kinds = ("act", "verify", "rollback") if row.reversible else ("act", "verify")
    _folder_complete(folder, kinds)
    _role_complete(role, kinds)
    for kind in kinds:
        plays.check(folder / f"{kind}.yml", name)
        tasks.check(role, _entry(kind), row.task_timeout_seconds)
    parameters = _parameters(file, row, name, role / _SPEC, kinds)
    return Action(
        id=name,
        title=row.title,
        when=row.when,
        not_when=row.not_when,
        risk=row.risk,
        reversible=row.reversible,
        jobs=row.jobs,
        task_timeout=row.task_timeout_seconds,
        run_timeout=row.run_timeout_seconds,
        settle_seconds=row.settle_seconds,
        hold_seconds=row.hold_seconds,
        parameters=parameters,
        patterns=patterns.spelled_out(file, row, [parameter.name for parameter in parameters]),
        counter_examples=tuple(row.counter_examples),
        follow_up=FollowUp(action=row.follow_up.action, when=row.follow_up.when) if row.follow_up else None,
        folder=folder,
        role=role,
    )


def _folder_complete(folder: Path, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        if not (folder / f"{kind}.yml").is_file():
            way = ", or say `reversible: false` in action.yml" if kind == "rollback" else ""
            raise CatalogError(f"{folder} lacks {kind}.yml; write that playbook{way}.")
    if "rollback" not in kinds and (folder / "rollback.yml").exists():
        raise CatalogError(
            f"{folder} has a rollback.yml that would never run; say `reversible: true` in action.yml or remove it."
        )


def _role_complete(role: Path, kinds: tuple[str, ...]) -> None:
    if not role.is_dir():
        raise CatalogError(f"The role {role} is missing; each action needs the role of its own name.")
    for kind in kinds:
        file = role / "tasks" / f"{_entry(kind)}.yml"
        if not file.is_file():
            raise CatalogError(f"{file} is missing, and {kind}.yml needs it; write it.")
    if "rollback" not in kinds and (role / "tasks" / "rollback.yml").exists():
        raise CatalogError(
            f"{role} has a tasks/rollback.yml that would never run; say `reversible: true` in action.yml or remove it."
        )
    if not (role / _SPEC).is_file():
        raise CatalogError(f"{role / _SPEC} is missing; write the argument spec of the role's entry points.")


def _entry(kind: str) -> str:
    """The role's entry point of a playbook."""
    return "main" if kind == "act" else kind


def _parameters(file: Path, row: ActionRow, name: str, spec: Path, kinds: tuple[str, ...]) -> tuple[Parameter, ...]:
    entries = parse(spec, SpecRow).argument_specs
    wanted = [_entry(kind) for kind in kinds]
    for entry in wanted:
        if entry not in entries:
            raise CatalogError(f"{spec} has no entry for {entry}; write one, else its options go unchecked.")
    for entry in entries:
        if entry not in wanted:
            raise CatalogError(
                f"{spec} has an entry for {entry}, which no playbook runs{near(entry, wanted)}; correct or remove it."
            )
    main, *others = ({one.name: one for one in _of_entry(file, row, name, spec, entry, entries)} for entry in wanted)
    for entry, found in zip(wanted[1:], others, strict=True):
        _agree(f"{spec}: {name}_", entry, main, found)
    for given in row.parameters:
        if given not in main:
            raise CatalogError(
                f"{file}: the parameter {given} has a source but {spec} has no option {name}_{given} in main"
                f"{near(given, main)}; add the option or remove the parameter."
            )
    return tuple(main.values())


def _agree(where: str, entry: str, main: Mapping[str, Parameter], found: Mapping[str, Parameter]) -> None:
    """Raises CatalogError unless the entry point has the parameters of main: each is about the same thing."""
    for short in found.keys() - main.keys():
        raise CatalogError(
            f"{where}{short} is an option of {entry} but not of main; every parameter of an action is one of main."
        )
    for short in main.keys() - found.keys():
        raise CatalogError(
            f"{where}{short} is an option of main but not of {entry}; add it there, else {entry} is not about the same "
            "thing."
        )
    for short, one in found.items():
        if (one.type, one.required) != (main[short].type, main[short].required):
            raise CatalogError(f"{where}{short} differs between main and {entry}; make them agree.")


def _of_entry(
    file: Path, row: ActionRow, name: str, spec: Path, entry: str, entries: Mapping[str, EntryRow]
) -> Iterator[Parameter]:
    for option, described in entries[entry].options.items():
        where = f"{spec}: the option {option} of {entry}"
        if described.type is None:
            raise CatalogError(f"{where} has no type; add one, such as `type: str`.")
        if not described.text():
            raise CatalogError(f"{where} has no description; add one, for people and for the model.")
        if not option.startswith(f"{name}_"):
            _of_context(where, option, name, described)
            continue
        short = option.removeprefix(f"{name}_")
        source = row.parameters.get(short)
        if source is None:
            raise CatalogError(
                f"{where} has no source; add `{short}: unit` or `{short}: path` to parameters in {file}"
                f"{near(short, row.parameters)}."
            )
        if described.type != TYPES[source]:
            raise CatalogError(
                f"{where} has the type {described.type}, which no value of the source {source} fits; use "
                f"{TYPES[source]}."
            )
        yield Parameter(
            name=short, type=described.type, required=described.required, description=described.text(), source=source
        )


def _of_context(where: str, option: str, name: str, described: OptionRow) -> None:
    if option not in CONTEXT:
        raise CatalogError(
            f"{where} would never be given a value; begin it with {name}_ if a decision fills it, or use one of "
            f"{', '.join(CONTEXT)}."
        )
    if (described.type, described.elements) != CONTEXT[option]:
        of = f" of {CONTEXT[option][1]}" if CONTEXT[option][1] else ""
        raise CatalogError(f"{where} has another type than what is given, which is a {CONTEXT[option][0]}{of}; use it.")
    # Policy that is not given must stop a run, and never mean that there is none.
    if not described.required:
        raise CatalogError(f"{where} must say `required: true`, because every run is given it.")
