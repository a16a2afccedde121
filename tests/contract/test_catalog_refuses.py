"""Each action of the whitelist with one of its parts taken away or bent: it doesn't load, and the sentence names it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import catalog
from orchestrator.catalog.rows import ActionRow
from orchestrator.domain.actions import Action
from orchestrator.errors import CatalogError

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = catalog.load(ROOT / "playbooks", ROOT / "roles").actions
SPEC = "meta/argument_specs.yml"
COMMAND = "ansible.builtin.command"

Bend = Callable[[Path], object]
#: What is done, how, and what the sentence must say.
Case = tuple[str, Bend, str]


def edit(file: str, change: Callable[[Any], object]) -> Bend:
    """Edit a YAML file of the copy."""

    def bend(root: Path) -> None:
        # By way of JSON: else what an anchor shares is one object, and one edit changes all places.
        content = json.loads(json.dumps(yaml.safe_load((root / file).read_text(encoding="utf-8"))))
        change(content)
        (root / file).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    return bend


def taken(file: Path) -> Bend:
    return lambda root: (root / file).unlink()


def at(content: Any, place: tuple[str | int, ...]) -> Any:
    """What stands in nested YAML at a place."""
    for key in place:
        content = content[key]
    return content


def without(file: str, *place: str | int) -> Bend:
    return edit(file, lambda content: at(content, place[:-1]).pop(place[-1]))


def with_(file: str, *place: str | int, **values: object) -> Bend:
    return edit(file, lambda content: at(content, place).update(values))


def entries(action: Action) -> dict[str, str]:
    """Playbook -> entry point."""
    return {"act": "main", "verify": "verify"} | ({"rollback": "rollback"} if action.reversible else {})


def parts(action: Action) -> Iterator[Case]:
    """Each file and each key that must be there."""
    optional = {action.role / "README.md", action.role / "meta" / "main.yml", action.role / "vars" / "main.yml"}
    for path in sorted({*action.folder.iterdir(), *action.role.rglob("*.*")} - optional):
        yield f"no {path.relative_to(ROOT)}", taken(path.relative_to(ROOT)), re.escape(path.name)
    yield "no role", lambda root: shutil.rmtree(root / "roles" / action.id), rf"The role .*{action.id} is missing"
    row = f"playbooks/{action.id}/action.yml"
    for key, field in ActionRow.model_fields.items():
        if field.is_required():
            yield f"no {key}", without(row, key), rf"the key {key} is missing"
    yield "unknown key", with_(row, whenn="x"), r"whenn is unknown \(did you mean when\?\)"
    yield "no examples", without(row, "patterns", 0, "examples"), r"patterns\.1\.examples is missing"
    yield "wrong example", with_(row, "patterns", 0, examples=["x"]), "pattern 1 does not hold for its example 'x'"
    example = action.patterns[0].examples
    yield "wrong counter-example", with_(row, counter_examples=example), "pattern 1 holds for the counter-example"


def playbooks(action: Action) -> Iterator[Case]:
    """Each playbook with something more or else than the role's entry point."""

    def role(plays: Any, **values: str) -> None:
        plays[0]["tasks"][0]["ansible.builtin.import_role"].update(values)

    for kind, entry in entries(action).items():
        file = f"playbooks/{action.id}/{kind}.yml"
        for name, change, sentence in (
            ("a play too many", lambda plays: plays.append(plays[0]), "must hold exactly one play"),
            ("another role", lambda plays: role(plays, name="other"), f"of the role {action.id} and"),
            ("an extension", lambda plays, e=entry: role(plays, tasks_from=f"{e}.yml"), "silently skips the argument"),
        ):
            yield f"{kind} with {name}", edit(file, change), rf"{kind}\.yml: .*{sentence}|{kind}\.yml {sentence}"


def specs(action: Action) -> Iterator[Case]:
    """Each entry of the argument spec, and each option, missing or unlike what the other parts say."""
    file, row = f"roles/{action.id}/{SPEC}", f"playbooks/{action.id}/action.yml"

    written = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["argument_specs"]
    for entry in entries(action).values():
        yield f"no spec of {entry}", without(file, "argument_specs", entry), f"has no entry for {entry}"
        for name, option in written[entry]["options"].items():
            own = name.startswith(f"{action.id}_")
            place, where = ("argument_specs", entry, "options", name), f"{name} of {entry}"
            yield f"{where} of another type", with_(file, *place, type="dict"), f"{where} has (the|another) type"
            yield f"{where} without words", with_(file, *place, description=""), f"{where} has no description"
            required = not option.get("required", False)
            said = f"{name} differs between main and" if own else f"{where} must say `required: true`"
            yield f"{where} {'' if required else 'not '}required", with_(file, *place, required=required), said
            if own:
                yield f"no {where}", without(file, *place), rf"{name} is an option of \w+ but not of \w+"
    for parameter in action.parameters:
        name, other = parameter.name, "path" if parameter.source == "unit" else "unit"
        yield f"{name} without a source", without(row, "parameters", name), f"_{name} of main has no source"
        yield f"{name} of another source", with_(row, "parameters", **{name: other}), f"no value of the source {other}"
    yield "one more parameter", with_(row, "parameters", thing="unit"), f"has no option {action.id}_thing in main"


def limits(action: Action) -> Iterator[Case]:
    """Each command without its limit."""
    for path in sorted((action.role / "tasks").iterdir()):
        for number, task in enumerate(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if COMMAND in task:
                bare = with_(str(path.relative_to(ROOT)), number, **{COMMAND: {"argv": ["x"]}})
                said = rf"{re.escape(path.name)}: the task .{task['name'][:40]}.* runs a command without a limit"
                yield f"no limit in {path.name}, task {number + 1}", bare, said


def cases() -> list[Any]:
    return [
        pytest.param(action.id, bend, sentence, id=f"{action.id}: {name}")
        for action in ACTIONS.values()
        for group in (parts, playbooks, specs, limits)
        for name, bend, sentence in group(action)
    ]


@pytest.mark.parametrize(("action", "bend", "sentence"), cases())
def test_action_with_a_part_missing_or_unlike_the_others_does_not_load(
    action: str, bend: Bend, sentence: str, tmp_path: Path
) -> None:
    for folder in ("playbooks", "roles"):
        shutil.copytree(ROOT / folder / action, tmp_path / folder / action)
    bend(tmp_path)

    with pytest.raises(CatalogError, match=sentence):
        catalog.load(tmp_path / "playbooks", tmp_path / "roles")
