"""The prompt's fixed words may come from another file, to try them; what is no prompt is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.decide.prompt import show
from orchestrator.decide.wording import PROMPT, wording
from orchestrator.errors import ConfigError
from tests.support.decide_case import case


def test_other_words_are_shown_and_known_by_their_version(tmp_path: Path) -> None:
    other = tmp_path / "prompt.md"
    text = PROMPT.read_text(encoding="utf-8").replace(f"Version: {wording().version}", "Version: other-1")
    other.write_text(text.replace("# System\n\n", "# System\n\nBe brief.\n"), encoding="utf-8")

    shown = show(case("nginx failed"), prompt=other)

    assert (shown.version, shown.system.splitlines()[0]) == ("other-1", "Be brief.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a line `Version: WORD`"),
        ("Version: 1\n\n# System\n\nx\n\n# Question\n\n$actions $unit $mark\n", r"exactly \$actions, \$evidence"),
        ("Version: 1\n\n# System\n\nx\n\n# Question\n\n$actions $unit $mark $evidence $host\n", "exactly"),
        ("Version: 1\n\n# System\n\nx\n\n# Question\n\n$actions $unit $mark $evidence $ 5\n", "exactly"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prompt.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        wording(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read"):
        wording(tmp_path / "gone.md")
