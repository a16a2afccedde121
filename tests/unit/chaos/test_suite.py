"""The chaos suite's own parts: every transaction is a boundary, the table, and when it is red."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import catalog
from orchestrator.record.store import SqlStore
from tests.chaos import suite
from tests.chaos.boundaries import BESIDE_HEALING, TRANSACTIONS, Boundaries
from tests.chaos.lane import Tally
from tests.chaos.suite import ROWS, Suite

ROOT = Path(__file__).resolve().parents[3]


def test_every_transaction_of_the_store_is_a_boundary_or_no_part_of_a_healing() -> None:
    public = inspect.getmembers(SqlStore, inspect.isfunction)

    writing = {name for name, one in public if name[0] != "_" and "_database.write(" in inspect.getsource(one)}

    assert writing == set(TRANSACTIONS) | set(BESIDE_HEALING)


def test_the_suites_own_action_is_a_complete_one() -> None:
    loaded = catalog.load(ROOT / "tests/chaos/playbooks", ROOT / "tests/chaos/roles")

    assert list(loaded.actions) == ["mend"]


def test_it_dies_at_an_armed_boundary_and_has_noted_it(tmp_path: Path) -> None:
    armed, passed = tmp_path / "armed", tmp_path / "passed"
    armed.write_text('{"at": ["feed: f*", "*: second"], "but": ["feed: first"]}')
    program = (
        "import sys; from pathlib import Path; from tests.chaos.boundaries import Boundaries\n"
        "at = Boundaries(Path(sys.argv[1]), Path(sys.argv[2])).at\n"
        "at('first'); at('second'); at('third')"
    )

    done = subprocess.run([sys.executable, "-c", program, str(armed), str(passed)], cwd=ROOT, check=False)

    assert done.returncode == -signal.SIGKILL
    assert passed.read_text().splitlines() == ["feed: first", "feed: second"]


def test_what_is_not_armed_is_passed(tmp_path: Path) -> None:
    armed, passed = tmp_path / "armed", tmp_path / "passed"
    armed.write_text('{"at": ["feed: second"], "but": []}')

    Boundaries(armed, passed).at("first")

    assert passed.read_text() == "feed: first\n"


def made(tmp_path: Path, tally: Tally, problem: str = "") -> Suite:
    """A suite of one row, with this result."""
    row = next(one for one in ROWS if one.name == "kill-all")
    one = Suite([row], tmp_path, 7, short=True, limit=60)
    one.results[row.name] = (tally, problem)
    return one


def test_a_row_says_what_how_often_and_how_to_repeat_it(tmp_path: Path) -> None:
    tally = Tally(times=3, seconds=[1.0, 2.0, 4.0])
    tally.ends.update(["healed", "healed", "escalated"])

    heading, line = made(tmp_path, tally).table()

    assert heading.split()[0] == "row"
    assert " ".join(line.split()).endswith(
        "3 0 0 0 2.0 / 4.0 1 escalated, 2 healed scripts/chaos --short --row kill-all --seed 7"
    )


@pytest.mark.parametrize("kind", ["lost", "twice", "stuck"])
def test_one_thing_that_must_not_be_fails_the_suite(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Tally(times=1), Tally(times=1)
    getattr(bad.verdict, kind).append("a sentence")

    assert suite.report(made(tmp_path, good), whole=False, seconds=1) == 0
    assert suite.report(made(tmp_path, bad), whole=False, seconds=1) == 1
    assert f"kill-all: {kind}: a sentence" in capsys.readouterr().out


def test_a_row_that_could_not_be_carried_out_fails_the_suite(tmp_path: Path) -> None:
    assert suite.report(made(tmp_path, Tally(), "no libfaketime here"), whole=False, seconds=1) == 1


def test_a_row_that_was_not_run_fails_the_suite(tmp_path: Path) -> None:
    one = made(tmp_path, Tally())
    one.results.clear()

    assert suite.report(one, whole=False, seconds=1) == 1


def test_a_boundary_at_which_nothing_was_killed_fails_the_long_form(tmp_path: Path) -> None:
    one = made(tmp_path, Tally(seen={"act: run go", "act: claim after"}, killed={"act: run go"}))

    assert one.missed() == ["act: claim after"]
    assert suite.report(one, whole=False, seconds=1) == 0
    assert suite.report(one, whole=True, seconds=1) == 1


def test_what_a_killed_suite_left_is_removed_and_a_living_ones_folder_is_not(tmp_path: Path) -> None:
    dead = tmp_path / f"{suite.PREFIX}4194304"
    living = tmp_path / f"{suite.PREFIX}1"
    for folder in (dead, living):
        (folder / "row" / "state").mkdir(parents=True)

    suite.remove_what_killed_suites_left(tmp_path)

    assert not dead.exists()
    assert living.exists()


def test_every_row_is_explained() -> None:
    page = (ROOT / "docs" / "chaos.md").read_text(encoding="utf-8")

    assert [row.name for row in ROWS if f"`{row.name}`" not in page] == []
