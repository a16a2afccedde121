"""The whitelist's loader: one complete catalogue, and a table of broken ones with the sentence for each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import catalog
from orchestrator.domain.actions import Parameter, ParameterSource, Pattern, Risk
from orchestrator.domain.records import Severity
from orchestrator.errors import CatalogError

Break = Callable[[Path], None]

ROW = {
    "title": "Mend a thing",
    "when": "it is broken",
    "not_when": "it is whole",
    "risk": "medium",
    "reversible": True,
    "task_timeout_seconds": 30,
    "run_timeout_seconds": 120,
    "settle_seconds": 2,
    "hold_seconds": 30.5,
    "parameters": {"service": "unit"},
    "patterns": [
        {
            "match": "(?P<service>\\S{1,200}) broke",
            "unless": "on purpose",
            "severity": "warning",
            "examples": ["mender broke"],
        }
    ],
    "counter_examples": ["mender broke on purpose"],
}
OPTION = {"type": "str", "required": True, "description": ["Which", "thing."]}
CONTEXT = {"healing_run_id": {"type": "str", "required": True, "description": "The run."}}
TASK = {"name": "Mend it", "ansible.builtin.command": {"argv": ["timeout", "25", "mend"]}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A complete catalogue of one action, `mend`."""
    folder, role = tmp_path / "playbooks" / "mend", tmp_path / "roles" / "mend"
    for path in (folder, role / "tasks", role / "meta"):
        path.mkdir(parents=True)
    write(folder / "action.yml", ROW)
    for kind, entry in (("act", "main"), ("verify", "verify"), ("rollback", "rollback")):
        write(folder / f"{kind}.yml", [play(entry)])
        write(role / "tasks" / f"{entry}.yml", [TASK])
    entries = {
        entry: {"short_description": "Mend", "options": {"mend_service": OPTION, **CONTEXT}}
        for entry in ("main", "verify", "rollback")
    }
    write(role / "meta" / "argument_specs.yml", {"argument_specs": entries})
    return tmp_path


def play(entry: str) -> dict[str, Any]:
    return {
        "name": "Mend",
        "hosts": "all",
        "gather_facts": False,
        "become": True,
        "environment": {"HEALING_RUN": "{{ healing_run_id }}"},
        "tasks": [{"name": "Act", "ansible.builtin.import_role": {"name": "mend", "tasks_from": entry}}],
    }


def write(path: Path, content: object) -> None:
    # By way of JSON: else what is shared in Python becomes an alias, and one edit changes all places.
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False), encoding="utf-8")


def load(root: Path) -> catalog.Catalog:
    return catalog.load(root / "playbooks", root / "roles")


def test_an_action_that_names_no_limits_has_the_default_ones(root: Path) -> None:
    row = {name: value for name, value in ROW.items() if not name.endswith("timeout_seconds")}
    write(root / "playbooks" / "mend" / "action.yml", row)

    action = load(root).actions["mend"]

    assert (action.task_timeout, action.run_timeout) == (30, 120)


def test_complete_action_is_read_in_full(root: Path) -> None:
    found = load(root)

    action = found.actions["mend"]
    assert found.get("mend") is action
    assert (action.title, action.risk, action.reversible) == ("Mend a thing", Risk.MEDIUM, True)
    assert (action.task_timeout, action.run_timeout, action.settle_seconds, action.hold_seconds) == (30, 120, 2, 30.5)
    assert action.parameters == (
        Parameter(name="service", type="str", required=True, description="Which thing.", source=ParameterSource.UNIT),
    )
    assert action.patterns == (
        Pattern(
            match="(?P<service>\\S{1,200}) broke",
            unless="on purpose",
            severity=Severity.WARNING,
            examples=("mender broke",),
        ),
    )
    assert action.counter_examples == ("mender broke on purpose",)
    assert action.playbook("check") == root / "playbooks" / "mend" / "verify.yml"
    assert action.role == root / "roles" / "mend"


def test_patterns_are_spelled_out_from_the_vocabulary(root: Path) -> None:
    change(
        "playbooks/mend/action.yml",
        lambda row: row.update(
            vocabulary={"end": "broke|died", "thing": "(?P<service>\\S{1,200}) %{end}"},
            patterns=[
                {"match": "^%{thing}$", "unless": "%{end} on purpose", "examples": ["mender died"]},
                {"match": "^x", "values": {"service": ["y"]}, "examples": ["x"]},
            ],
        ),
    )(root)

    first, second = load(root).actions["mend"].patterns

    assert (first.match, first.unless) == ("^(?:(?P<service>\\S{1,200}) (?:broke|died))$", "(?:broke|died) on purpose")
    assert second.values == {"service": ("y",)}


def test_unknown_action_is_none_and_the_whitelist_cannot_be_written(root: Path) -> None:
    found = load(root)

    assert found.get("rm_rf") is None
    with pytest.raises(TypeError):
        found.actions["rm_rf"] = found.actions["mend"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.actions = {}  # type: ignore[misc]


def test_a_parameter_may_be_optional_where_every_entry_point_says_so(root: Path) -> None:
    option(required=False)(root)

    assert [one.required for one in load(root).actions["mend"].parameters] == [False]


@pytest.mark.parametrize("argv", ["{{ mend_program + ['x'] }}", "{{ ['timeout', '29'] + words | split }}"])
def test_a_command_may_have_its_limit_in_an_expression(argv: str, root: Path) -> None:
    task({"name": "X", "ansible.builtin.command": {"argv": argv}})(root)
    text("roles/mend/vars/main.yml", "mend_program: [timeout, '29', python3]")(root)

    assert list(load(root).actions) == ["mend"]


def change(file: str, edit: Callable[[Any], object]) -> Break:
    """Edit a YAML file of the catalogue."""

    def broken(root: Path) -> None:
        path = root / file
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(content)
        write(path, content)

    return broken


def remove(file: str) -> Break:
    return lambda root: (root / file).unlink()


def text(file: str, content: str) -> Break:
    def broken(root: Path) -> None:
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text(content, encoding="utf-8")

    return broken


def row(**values: Any) -> Break:
    return change("playbooks/mend/action.yml", lambda content: content.update(values))


def drop(key: str) -> Break:
    return change("playbooks/mend/action.yml", lambda content: content.pop(key))


def pattern(**values: Any) -> Break:
    return row(patterns=[{"match": "broke", "examples": ["it broke"], **values}])


def act(**values: Any) -> Break:
    return change("playbooks/mend/act.yml", lambda plays: plays[0].update(values))


def role(kind: str = "act", **values: Any) -> Break:
    def edit(plays: Any) -> None:
        plays[0]["tasks"][0]["ansible.builtin.import_role"].update(values)

    return change(f"playbooks/mend/{kind}.yml", edit)


def options(entry: str, edit: Callable[[Any], object]) -> Break:
    return change(
        "roles/mend/meta/argument_specs.yml", lambda content: edit(content["argument_specs"][entry]["options"])
    )


def entries(edit: Callable[[Any], object]) -> Break:
    return change("roles/mend/meta/argument_specs.yml", lambda content: edit(content["argument_specs"]))


def task(*tasks: object) -> Break:
    """The role's main holds these tasks alone."""
    return lambda root: write(root / "roles" / "mend" / "tasks" / "main.yml", tasks)


def option(**values: Any) -> Break:
    def edit(content: Any) -> None:
        for entry in content["argument_specs"].values():
            entry["options"]["mend_service"].update(values)
            if values.get("type", "") is None:
                del entry["options"]["mend_service"]["type"]

    return change("roles/mend/meta/argument_specs.yml", edit)


def both(first: Break, second: Break) -> Break:
    def broken(root: Path) -> None:
        first(root)
        second(root)

    return broken


def rename(name: str) -> Break:
    def broken(root: Path) -> None:
        (root / "playbooks" / "mend").rename(root / "playbooks" / name)

    return broken


def no_role(root: Path) -> None:
    (root / "roles" / "mend").rename(root / "roles" / "mended")


def no_actions(root: Path) -> None:
    (root / "playbooks" / "mend").rename(root / "elsewhere")


def no_playbooks(root: Path) -> None:
    (root / "playbooks").rename(root / "elsewhere")


BROKEN: dict[str, tuple[Break, str]] = {
    "no folder": (no_playbooks, r"playbooks can't be read \(No such file.*correct playbooks_dir"),
    "no action": (no_actions, "holds no action; correct playbooks_dir"),
    "capital id": (rename("Mend"), "'Mend' can't be an action's id; name the folder with small letters"),
    "digit id": (rename("mend2"), "'mend2' can't be an action's id"),
    "reserved id": (rename("escalate"), "'escalate' can't be an action's id"),
    "no action.yml": (remove("playbooks/mend/action.yml"), r"action\.yml is missing; write it"),
    "no act": (remove("playbooks/mend/act.yml"), r"mend lacks act\.yml; write that playbook\."),
    "no verify": (remove("playbooks/mend/verify.yml"), r"mend lacks verify\.yml"),
    "no rollback": (remove("playbooks/mend/rollback.yml"), r"lacks rollback\.yml; .* or say `reversible: false`"),
    "idle rollback": (row(reversible=False), r"rollback\.yml that would never run; say `reversible: true`"),
    "no role": (no_role, r"The role .*roles/mend is missing"),
    "no main": (remove("roles/mend/tasks/main.yml"), r"tasks/main\.yml is missing, and act\.yml needs it"),
    "no verify tasks": (remove("roles/mend/tasks/verify.yml"), r"tasks/verify\.yml is missing"),
    "no spec": (
        remove("roles/mend/meta/argument_specs.yml"),
        r"argument_specs\.yml is missing; write the argument spec",
    ),
    "no entry": (
        change("roles/mend/meta/argument_specs.yml", lambda content: content["argument_specs"].pop("verify")),
        "has no entry for verify; write one",
    ),
    "no type": (option(type=None), "the option mend_service of main has no type; add one"),
    "wrong type": (option(type="dict"), "has the type dict, which no value of the source unit fits; use str"),
    "path as text": (
        row(parameters={"service": "path"}, patterns=[]),
        "has the type str, which no value of the source path fits; use path",
    ),
    "no description": (option(description=""), "mend_service of main has no description"),
    "no source": (row(parameters={}), r"mend_service of main has no source; add `service: unit`.*action\.yml\."),
    "misspelt source": (row(parameters={"servise": "unit"}), r"has no source.*\(did you mean servise\?\)"),
    "no option": (
        row(parameters={"service": "unit", "path": "path"}),
        r"action\.yml: the parameter path has a source but .* has no option mend_path in main",
    ),
    "only in verify": (
        both(
            row(parameters={"service": "unit", "path": "unit"}),
            options("verify", lambda found: found.update(mend_path=OPTION)),
        ),
        "mend_path is an option of verify but not of main",
    ),
    "no source in verify": (
        options("verify", lambda found: found.update(mend_path=OPTION)),
        "mend_path of verify has no source",
    ),
    "differs": (
        options("rollback", lambda found: found["mend_service"].update(required=False)),
        "mend_service differs between main and rollback; make them agree",
    ),
    "nobody fills": (
        options("main", lambda found: found.update(service=OPTION)),
        "the option service of main would never be given a value; begin it with mend_",
    ),
    "unknown key": (
        row(titel="x"),
        r"action\.yml, line \d+: the key titel is unknown \(did you mean title\?\); known are title, ",
    ),
    "unknown pattern key": (pattern(unles="x"), r"the key patterns\.1\.unles is unknown \(did you mean unless\?\)"),
    "missing key": (drop("not_when"), "the key not_when is missing; add it"),
    "empty text": (row(when="  "), "when is '  ': string should have at least 1 character; correct it"),
    "unknown risk": (row(risk="none"), "risk is 'none': input should be 'low', 'medium' or 'high'"),
    "number as text": (row(task_timeout_seconds="30"), "task_timeout_seconds is '30': input should be a valid integer"),
    "no limit": (row(run_timeout_seconds=0), "run_timeout_seconds is 0: input should be greater than or equal to 1"),
    "endless": (row(run_timeout_seconds=9999), "run_timeout_seconds is 9999: input should be less than"),
    "short run": (row(run_timeout_seconds=29), "run_timeout_seconds is less than task_timeout_seconds"),
    "free text source": (row(parameters={"service": "text"}), r"parameters\.service is 'text': input should be 'unit'"),
    "no regex": (pattern(match="(oops"), r"action\.yml, line \d+: match of pattern 1 does not compile \(missing \)"),
    "unbounded": (
        pattern(match="a+ broke"),
        r"action\.yml, line \d+: match of pattern 1 repeats .* without an upper bound",
    ),
    "backtracking": (pattern(match="^(a+)+$"), r"line \d+: match of pattern 1 backtracks without bound: .*'aaaa"),
    "backtracking unless": (pattern(unless="^(?:a|aa)*b"), r"unless of pattern 1 backtracks without bound"),
    "power": (pattern(match="^.*.*.*b"), r"line \d+: match of pattern 1 backtracks too long: \d+ characters like '"),
    "unknown part": (pattern(match="%{x} broke"), r"match of pattern 1 uses %\{x\}, which vocabulary doesn't define"),
    "values of no parameter": (
        pattern(values={"host": ["x"]}),
        "values of pattern 1 names host, which is no parameter",
    ),
    "no regex unless": (pattern(unless="*"), "unless of pattern 1 does not compile"),
    "stray capture": (pattern(match="(?P<host>x)"), "match of pattern 1 captures host, and no such is a parameter"),
    "unless captures": (pattern(unless="(?P<service>x)"), "unless of pattern 1 captures service, and `unless` fills"),
    "severity": (pattern(severity="info"), r"patterns\.1\.severity is 'info': input should be 'error' or 'warning'"),
    "no YAML": (text("playbooks/mend/action.yml", "title: [x"), r"action\.yml is no YAML"),
    "no mapping": (
        text("playbooks/mend/action.yml", "- x"),
        "holds no mapping of keys to values; begin it with `title:`",
    ),
    "key twice": (text("playbooks/mend/action.yml", "title: a\ntitle: b\n"), r"no YAML \(.*the key title comes twice"),
    "tags": (text("playbooks/mend/action.yml", "title: !!python/name:os.system ''"), r"action\.yml is no YAML"),
    "two plays": (change("playbooks/mend/act.yml", lambda plays: plays.append({})), "must hold exactly one play"),
    "other hosts": (act(hosts="web"), r"act\.yml: the play must say `hosts: all`, because the run's inventory"),
    "facts": (act(gather_facts=True), "the play must say `gather_facts: false`"),
    "no become": (act(become=False), "the play must say `become: true`"),
    "no run id": (act(environment={}), r'must say `environment: \{HEALING_RUN: "\{\{ healing_run_id \}\}"\}`'),
    "more environment": (
        act(environment={"HEALING_RUN": "{{ healing_run_id }}", "PATH": "/x"}),
        "and nothing else there",
    ),
    "play key": (act(taks=[]), r"the play's key taks is unknown \(did you mean tasks\?\); put it into the role"),
    "delegated": (
        change("playbooks/mend/act.yml", lambda plays: plays[0]["tasks"][0].update(delegate_to="localhost")),
        "the play must hold one task .* and no more",
    ),
    "more tasks": (
        change("playbooks/mend/act.yml", lambda plays: plays[0]["tasks"].append({"ansible.builtin.command": "x"})),
        "the play must hold one task with ansible.builtin.import_role of the role mend",
    ),
    "other role": (role(name="rend"), "one task with .* of the role mend and `tasks_from: main`, and no more"),
    "role's vars": (role(public=True), "and no more"),
    "extension": (
        role("verify", tasks_from="verify.yml"),
        r"verify\.yml: `tasks_from: verify\.yml` has an extension, which silently skips .*; write `tasks_from: verify`",
    ),
    "act's extension": (role(tasks_from="main.yaml"), "`tasks_from: main.yaml` has an extension"),
    "wrong entry": (role("verify", tasks_from="main"), r"verify\.yml: the play must hold .*`tasks_from: verify`"),
    "no example": (pattern(examples=[]), r"patterns\.1\.examples is \[\]: list should have at least 1 item"),
    "examples missing": (row(patterns=[{"match": "broke"}]), r"the key patterns\.1\.examples is missing; add it"),
    "example of something else": (
        pattern(examples=["it broke", "it works"]),
        "pattern 1 does not hold for its example 'it works'; correct one of them",
    ),
    "example that is excluded": (
        pattern(unless="on purpose", examples=["it broke on purpose"]),
        "pattern 1 does not hold for its example 'it broke on purpose'",
    ),
    "example in a stranger's words": (
        pattern(examples=['GET /it-broke HTTP/1.1" 200']),
        "pattern 1 does not hold for its example 'GET ",
    ),
    "no counter-example": (row(counter_examples=[]), r"counter_examples is \[\]: list should have at least 1 item"),
    "counter-examples missing": (drop("counter_examples"), "the key counter_examples is missing; add it"),
    "counter-example that holds": (
        row(counter_examples=["all is well", "door broke"]),
        "pattern 1 holds for the counter-example 'door broke'; correct one of them",
    ),
    "idle rollback tasks": (
        both(row(reversible=False), remove("playbooks/mend/rollback.yml")),
        r"tasks/rollback\.yml that would never run; say `reversible: true`",
    ),
    "idle entry": (
        entries(lambda found: found.update(verfy=found["verify"])),
        r"has an entry for verfy, which no playbook runs \(did you mean verify\?\)",
    ),
    "only in main": (
        options("verify", lambda found: found.pop("mend_service")),
        "mend_service is an option of main but not of verify; add it there",
    ),
    "not in rollback": (
        options("rollback", lambda found: found.pop("mend_service")),
        "mend_service is an option of main but not of rollback",
    ),
    "type differs": (
        options("verify", lambda found: found["mend_service"].update(type="path")),
        "mend_service of verify has the type path, which no value of the source unit fits",
    ),
    "no short description": (
        entries(lambda found: found["main"].pop("short_description")),
        r"the key argument_specs\.main\.short_description is missing",
    ),
    "no options": (entries(lambda found: found["main"].pop("options")), r"argument_specs\.main\.options is missing"),
    "misspelt options": (
        entries(lambda found: found["main"].update(optionss={})),
        r"argument_specs\.main\.optionss is unknown \(did you mean options\?\)",
    ),
    "misspelt required": (
        options("main", lambda found: found["mend_service"].update(requierd=True)),
        r"options\.mend_service\.requierd is unknown \(did you mean required\?\)",
    ),
    "context of another type": (
        options("main", lambda found: found["healing_run_id"].update(type="int")),
        "the option healing_run_id of main has another type than what is given, which is a str; use it",
    ),
    "context of other elements": (
        options("main", lambda found: found.update(healing_permits={**OPTION, "type": "list", "elements": "int"})),
        "the option healing_permits of main has another type than what is given, which is a list of str",
    ),
    "policy that may be missing": (
        options("main", lambda found: found["healing_run_id"].update(required=False)),
        "healing_run_id of main must say `required: true`",
    ),
    "no tasks": (task(), r"tasks/main\.yml holds no list of tasks; write them"),
    "shell": (task({"name": "X", "ansible.builtin.shell": "x"}), "the task 'X' hands a line to a shell; use a module"),
    "script": (task({"name": "X", "script": "x.sh"}), "the task 'X' hands a line to a shell"),
    "command without a limit": (
        task({"name": "X", "ansible.builtin.command": {"argv": ["mend"]}}),
        "the task 'X' runs a command without a limit of its own; begin its argv with timeout",
    ),
    "free form": (task({"name": "X", "command": "timeout 5 mend"}), "the task 'X' runs a command without a limit"),
    "limit that is no number": (
        task({"name": "X", "ansible.builtin.command": {"argv": ["timeout", "0", "mend"]}}),
        "the task 'X' runs a command without a limit",
    ),
    "limit too long": (
        task({"name": "X", "ansible.builtin.command": {"argv": ["timeout", "30", "mend"]}}),
        r"the task 'X' limits its command to 30 s; stay below task_timeout_seconds \(30\)",
    ),
    "limit of nobody": (
        task({"name": "X", "ansible.builtin.command": {"argv": "{{ mend_program + ['x'] }}"}}),
        "the task 'X' runs a command without a limit",
    ),
    "in a block": (
        task({"name": "X", "block": [TASK], "rescue": [{"name": "Y", "ansible.builtin.command": {"argv": ["x"]}}]}),
        "the task 'Y' runs a command without a limit",
    ),
    "imported": (
        both(task({"name": "X", "ansible.builtin.import_tasks": "more.yml"}), text("roles/mend/tasks/more.yml", "[]")),
        r"tasks/more\.yml holds no list of tasks",
    ),
    "import missing": (
        task({"name": "X", "ansible.builtin.import_tasks": {"file": "more.yml"}}),
        r"the task 'X' imports more\.yml, which is missing",
    ),
    "file missing": (
        text(
            "roles/mend/tasks/main.yml",
            "- {name: X, ansible.builtin.debug: {msg: \"{{ lookup('ansible.builtin.file', 'x.py') }}\"}}",
        ),
        r"tasks/main\.yml reads files/x\.py of its role, which is missing",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_catalogue_is_one_sentence(name: str, root: Path) -> None:
    breaks, sentence = BROKEN[name]
    breaks(root)

    with pytest.raises(CatalogError, match=sentence) as refused:
        load(root)

    said = str(refused.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert str(root) in said


def test_what_is_no_folder_of_an_action_is_passed_over(root: Path) -> None:
    (root / "playbooks" / "README.md").write_text("words", encoding="utf-8")
    (root / "playbooks" / ".cache").mkdir()
    (root / "playbooks" / "__pycache__").mkdir()

    assert list(load(root).actions) == ["mend"]


@pytest.mark.parametrize(
    ("follow_up", "sentence"),
    [
        ({"action": "mend", "when": "so"}, r"mend/action\.yml: follow_up\.action goes in a circle \(mend -> mend\)"),
        (
            {"action": "mendd", "when": "so"},
            r"follow_up\.action is 'mendd', which is no action \(did you mean mend\?\)",
        ),
        ({"action": "mend"}, r"mend/action\.yml, line \d+: the key follow_up\.when is missing"),
        ({"action": "mend", "whn": "so"}, r"follow_up\.whn is unknown \(did you mean when\?\); known are action, when"),
        ("mend", r"mend/action\.yml, line \d+: follow_up is 'mend': input should be"),
    ],
)
def test_what_can_t_follow_is_named_with_file_and_field(root: Path, follow_up: object, sentence: str) -> None:
    write(root / "playbooks" / "mend" / "action.yml", ROW | {"follow_up": follow_up})

    with pytest.raises(CatalogError, match=sentence):
        catalog.load(root / "playbooks", root / "roles")
