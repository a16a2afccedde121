"""The documentation names what the code has: settings, errors, commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from orchestrator import errors, settings
from orchestrator.cli.main import app

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def error_classes(root: type[errors.HealingError]) -> list[type[errors.HealingError]]:
    # A room's own subclass says how it goes on; to the outside it is its base.
    own = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(one for child in own for one in error_classes(child))]


def test_every_setting_has_a_heading_and_no_heading_is_left_over() -> None:
    headings = re.findall(r"^### `(\w+)`$", read("docs/settings.md"), re.MULTILINE)

    assert headings == [row.name for row in settings.SETTINGS]


@pytest.mark.parametrize("row", settings.SETTINGS, ids=lambda row: row.name)
def test_a_settings_sentence_stands_in_the_documentation(row: settings.Setting) -> None:
    assert row.help in read("docs/settings.md")


@pytest.mark.parametrize("error", error_classes(errors.HealingError), ids=lambda error: error.__name__)
def test_every_error_code_is_documented_with_its_exit_code(error: type[errors.HealingError]) -> None:
    assert f"| `{error.code}` | {error.exit_code} |" in read("docs/operations.md")


def test_error_codes_are_unique() -> None:
    codes = [error.code for error in error_classes(errors.HealingError)]

    assert len(codes) == len(set(codes))


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"[A-Z]\w+", (errors.__doc__ or "").split("A refusal")[0]))

    assert {error.__name__ for error in error_classes(errors.HealingError)} <= drawn


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "CONTRIBUTING.md"])
def test_commands_that_the_pages_name_exist(page: str) -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]  # a click group

    named = set(re.findall(r"healer ([a-z]+)\b", read(page))) - {"serve"}

    assert named <= commands | {"is"}, named - commands


@pytest.mark.parametrize("page", [*sorted(path.name for path in ROOT.glob("*.md")), "docs/architecture.md"])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent

    for target in re.findall(r"\]\(([^)#:]+)\)", read(page)):
        assert (folder / target).exists(), f"{page} links to {target}"


def test_no_file_holds_the_marks_of_an_unfinished_merge() -> None:
    mark = re.compile(rb"^(<{7} |>{7} |={7}$)", re.MULTILINE)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    files = [ROOT / name.decode() for name in names if name]

    assert files
    assert [path for path in files if path.is_file() and mark.search(path.read_bytes())] == []
