"""What a host wrote reaches a terminal as text, never as a command to it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.cli import output

#: Clear the screen, set the title, an 8-bit control, go back, a mark that turns the direction of writing.
EVIL = "a\x1b[2Jb\x1b]0;owned\x07c\x9b31md\re\bf\u202eg"
SHOWN = "a�[2Jb�]0;owned�c�31md�e�f�g"


@pytest.mark.parametrize(
    "write",
    [
        output.say,
        output.complain,
        lambda text: output.table(("one", "two"), [(text, output.text(text))], "none"),
        lambda text: output.table(("one",), [], text),
    ],
)
def test_nothing_that_a_terminal_obeys_is_written(
    write: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write(EVIL)
    written = "".join(capsys.readouterr())
    assert SHOWN in written
    assert all(char.isprintable() or char == "\n" for char in written)


def test_lines_and_markup_of_ours_stay(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("one\r\n\ttwo\n[red]")
    output.table(("state",), [(output.state("healed"),)], "none")
    assert capsys.readouterr().out == "one\n        two\n[red]\nstate \nhealed\n"


def test_json_is_the_same_value_and_obeys_too(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"ä": EVIL, "half": "\udc80", "pair": "\U000e0001😀"})
    written = capsys.readouterr().out
    assert json.loads(written) == {"ä": EVIL, "half": "\udc80", "pair": "\U000e0001😀"}
    assert all(char.isprintable() or char == "\n" for char in written)
    assert "ä" in written
    assert "😀" in written
