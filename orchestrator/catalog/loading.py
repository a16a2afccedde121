"""Folders of actions and roles -> the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestrator.catalog import plays
from orchestrator.catalog.rows import ActionRow, PatternRow, SpecRow, near, parse
from orchestrator.domain.actions import ESCALATE, NONE, Action, Parameter, ParameterSource, Pattern
from orchestrator.domain.records import Severity
from orchestrator.errors import CatalogError

#: Options that every run is given, and that no decision fills.
CONTEXT = ("healing_run_id", "healing_safe_directories", "healing_protected_services", "healing_permits")
#: Ansible's types that values of a source fit.
TYPES = {ParameterSource.UNIT: ("str",), ParameterSource.PATH: ("path", "str")}
_ID = re.compile(r"[a-z_]+")
#: A named part of an expression.
_PART = re.compile(r"%\{(\w+)\}")
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
    return Catalog(actions=MappingProxyType({folder.name: _action(folder, roles / folder.name) for folder in folders}))


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
    parameters = _parameters(file, row, name, role / _SPEC, kinds)
    return Action(
        id=name,
        title=row.title,
        when=row.when,
        not_when=row.not_when,
        risk=row.risk,
        reversible=row.reversible,
        task_timeout=row.task_timeout_seconds,
        run_timeout=row.run_timeout_seconds,
        settle_seconds=row.settle_seconds,
        hold_seconds=row.hold_seconds,
        parameters=parameters,
        patterns=_patterns(file, row, parameters),
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
        tasks = role / "tasks" / f"{_entry(kind)}.yml"
        if not tasks.is_file():
            raise CatalogError(f"{tasks} is missing, and {kind}.yml needs it; write it.")
    if not (role / _SPEC).is_file():
        raise CatalogError(f"{role / _SPEC} is missing; write the argument spec of the role's entry points.")


def _entry(kind: str) -> str:
    """The role's entry point of a playbook."""
    return "main" if kind == "act" else kind


def _parameters(file: Path, row: ActionRow, name: str, spec: Path, kinds: tuple[str, ...]) -> tuple[Parameter, ...]:
    entries = parse(spec, SpecRow).argument_specs
    found: dict[str, Parameter] = {}
    for kind in kinds:
        entry = entries.get(_entry(kind))
        if entry is None:
            raise CatalogError(f"{spec} has no entry for {_entry(kind)}; write one, else its options go unchecked.")
        for parameter in _of_entry(file, row, name, spec, _entry(kind)):
            known = found.get(parameter.name)
            if known is None and kind != "act":
                raise CatalogError(
                    f"{spec}: {name}_{parameter.name} is an option of {kind} but not of main; every parameter of an "
                    "action is one of main."
                )
            if known is not None and (known.type, known.required) != (parameter.type, parameter.required):
                raise CatalogError(f"{spec}: {name}_{parameter.name} differs between main and {kind}; make them agree.")
            found.setdefault(parameter.name, parameter)
    for given in row.parameters:
        if given not in found:
            raise CatalogError(
                f"{file}: the parameter {given} has a source but {spec} has no option {name}_{given} in main"
                f"{near(given, found)}; add the option or remove the parameter."
            )
    return tuple(found.values())


def _of_entry(file: Path, row: ActionRow, name: str, spec: Path, entry: str) -> Iterator[Parameter]:
    for option, described in parse(spec, SpecRow).argument_specs[entry].options.items():
        where = f"{spec}: the option {option} of {entry}"
        if described.type is None:
            raise CatalogError(f"{where} has no type; add one, such as `type: str`.")
        if not option.startswith(f"{name}_"):
            if option not in CONTEXT:
                raise CatalogError(
                    f"{where} would never be given a value; begin it with {name}_ if a decision fills it, or use one "
                    f"of {', '.join(CONTEXT)}."
                )
            continue
        short = option.removeprefix(f"{name}_")
        source = row.parameters.get(short)
        if source is None:
            raise CatalogError(
                f"{where} has no source; add `{short}: unit` or `{short}: path` to parameters in {file}"
                f"{near(short, row.parameters)}."
            )
        if described.type not in TYPES[source]:
            raise CatalogError(
                f"{where} has the type {described.type}, which no value of the source {source} fits; use "
                f"{' or '.join(TYPES[source])}."
            )
        if not described.text():
            raise CatalogError(f"{where} has no description; add one, for people and for the model.")
        yield Parameter(
            name=short, type=described.type, required=described.required, description=described.text(), source=source
        )


def _patterns(file: Path, row: ActionRow, parameters: tuple[Parameter, ...]) -> tuple[Pattern, ...]:
    vocabulary: dict[str, str] = {}
    for name, part in row.vocabulary.items():
        vocabulary[name] = _spelled_out(file, f"{name} of vocabulary", part, vocabulary)
    return tuple(
        _pattern(file, number, one, vocabulary, parameters) for number, one in enumerate(row.patterns, start=1)
    )


def _spelled_out(file: Path, where: str, text: str, vocabulary: Mapping[str, str]) -> str:
    missing = [name for name in _PART.findall(text) if name not in vocabulary]
    if missing:
        raise CatalogError(f"{file}: {where} uses %{{{missing[0]}}}, which vocabulary doesn't define above it; add it.")
    return _PART.sub(lambda match: f"(?:{vocabulary[match[1]]})", text)


def _pattern(
    file: Path, number: int, row: PatternRow, vocabulary: Mapping[str, str], parameters: tuple[Parameter, ...]
) -> Pattern:
    names = {parameter.name for parameter in parameters}
    match = _spelled_out(file, f"match of pattern {number}", row.match, vocabulary)
    unless = row.unless and _spelled_out(file, f"unless of pattern {number}", row.unless, vocabulary)
    for key, text in (("match", match), ("unless", unless)):
        if text is None:
            continue
        try:
            groups = re.compile(text, re.IGNORECASE).groupindex
        except re.error as error:
            raise CatalogError(f"{file}: {key} of pattern {number} does not compile ({error}); correct it.") from error
        stray = sorted(set(groups) - (names if key == "match" else set()))
        if stray:
            which = f"a parameter of the action ({', '.join(sorted(names)) or 'it has none'})"
            what = f"no such is {which}" if key == "match" else "`unless` fills nothing"
            raise CatalogError(f"{file}: {key} of pattern {number} captures {stray[0]}, and {what}; correct the group.")
    stray = sorted(set(row.values) - names)
    if stray:
        raise CatalogError(f"{file}: values of pattern {number} names {stray[0]}, which is no parameter; correct it.")
    values = {name: tuple(ones) for name, ones in row.values.items()}
    return Pattern(match=match, unless=unless, values=values, severity=Severity[row.severity.upper()])
