"""What action.yml and argument_specs.yml may say, checked by pydantic: one of the three doors that use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from orchestrator.domain.actions import ParameterSource, Risk
from orchestrator.errors import CatalogError

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Lines = Annotated[list[_Text], Field(min_length=1)]
#: Seconds of a time limit: an hour is no healing any more.
_Limit = Annotated[int, Field(ge=1, le=3600)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PatternRow(_Row):
    """One entry of `patterns`."""

    match: _Text
    #: Lines that it must hold for.
    examples: _Lines
    unless: _Text | None = None
    values: dict[str, list[_Text]] = {}
    severity: Literal["error", "warning"] = "error"


class FollowUpRow(_Row):
    """What goes on after an action."""

    action: _Text
    when: _Text


class ActionRow(_Row):
    """A whole action.yml."""

    title: _Text
    when: _Text
    not_when: _Text
    risk: Annotated[Risk, Field(strict=False)]
    reversible: bool
    #: Seconds; what the original description gives a command.
    task_timeout_seconds: _Limit = 30
    run_timeout_seconds: _Limit = 120
    settle_seconds: Annotated[float, Field(ge=0, le=300)]
    hold_seconds: Annotated[float, Field(ge=0, le=86400)]
    parameters: dict[str, Annotated[ParameterSource, Field(strict=False)]]
    #: Whether it helps units too that run and end, or that start one.
    jobs: bool = False
    #: What is done next for a unit that died of what this action mended.
    follow_up: FollowUpRow | None = None
    #: Named parts of expressions; `%{name}` in a pattern, or in a later part, stands for one.
    vocabulary: dict[str, _Text] = {}
    patterns: list[PatternRow]
    #: Lines that look alike, and that none of the patterns may hold for.
    counter_examples: _Lines


class OptionRow(_Row):
    """One option of a role's argument spec. A key that Ansible would not know it passes over without a word."""

    type: str | None = None
    elements: str | None = None
    required: bool = False
    description: str | list[str] = ""

    def text(self) -> str:
        """The description as one line."""
        lines = [self.description] if isinstance(self.description, str) else self.description
        return " ".join(" ".join(lines).split())


class EntryRow(_Row):
    """One entry point of a role."""

    short_description: _Text
    options: dict[str, OptionRow]


class SpecRow(_Row):
    """A whole argument_specs.yml."""

    argument_specs: dict[str, EntryRow]


_R = TypeVar("_R", bound=BaseModel)


class StrictLoader(yaml.CSafeLoader):
    """YAML in which no key comes twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    "while reading a mapping", node.start_mark, f"the key {key} comes twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep)


def read(file: Path) -> Any:
    """The YAML of a file. Raises CatalogError."""
    try:
        # A subclass of CSafeLoader: it makes plain values alone.
        return yaml.load(file.read_text(encoding="utf-8"), StrictLoader)  # noqa: S506
    except FileNotFoundError:
        raise CatalogError(f"{file} is missing; write it, or remove its folder from the whitelist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file} can't be read ({error}); correct it.") from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise CatalogError(f"{file} is no YAML ({said}); correct it.") from error


def place(file: Path, *keys: int | str) -> str:
    """`FILE, line N`, where a nested key or entry stands (counted from 0); FILE alone if it is not there."""
    try:
        node: Any = yaml.compose(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return str(file)
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == str(key)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line
        else:
            break
    return str(file) if line is None else f"{file}, line {line + 1}"


def parse(file: Path, model: type[_R]) -> _R:
    """The file as a row of that shape. Raises CatalogError, naming the key and a near match."""
    content = read(file)
    if not isinstance(content, dict):
        raise CatalogError(
            f"{file} holds no mapping of keys to values; begin it with `{next(iter(model.model_fields))}:`."
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        where, said = _sentence(error, model)
        raise CatalogError(f"{place(file, *where)}: {said}") from error


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _sentence(error: ValidationError, model: type[BaseModel]) -> tuple[Sequence[int | str], str]:
    """The place and the words of the first unknown key, for a misspelt one is also missing; else of the first fault."""
    faults = error.errors(include_url=False, include_input=True)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = fault["loc"]
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in where)
    if fault["type"] == "extra_forbidden":
        known = _known(where, model)
        said = f"the key {key} is unknown{near(str(where[-1]), known)}; known are {', '.join(known)}."
    elif fault["type"] == "missing":
        said = f"the key {key} is missing; add it."
    else:
        said = f"{key} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}; correct it."
    return where, said


def _known(place: Sequence[int | str], model: type[BaseModel]) -> Iterable[str]:
    """The keys that may stand at a place of the file."""
    if "options" in place:
        return OptionRow.model_fields
    if place[0] == "argument_specs" and len(place) > 1:
        return EntryRow.model_fields
    nested: dict[str, type[BaseModel]] = {"patterns": PatternRow, "follow_up": FollowUpRow}
    return nested.get(str(place[0]), model).model_fields if len(place) > 1 else model.model_fields
