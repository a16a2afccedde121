"""What a plan run (`--check --diff`) printed, without what does not matter to whoever is asked. Pure."""

from __future__ import annotations

import re

from orchestrator.domain.speech import printable

#: Letters and lines that are kept: a person is to read it, and a record is to hold it.
LETTERS, LINES = 8_000, 200
#: What is said where no task would change anything.
NOTHING = "Nothing: no task would change anything."
_BANNER = re.compile(r"^(PLAY|TASK|RUNNING HANDLER|PLAY RECAP)\b")
_STARS = re.compile(r"\s*\*{3,}$")


def would_change(stdout: str) -> str:
    """The tasks that would change something, as Ansible printed them, with their differences; NOTHING for none.

    At most LINES lines and LETTERS letters, and it says so where more was printed.
    """
    kept: list[str] = []
    for block in _blocks(stdout):
        if block[0].startswith(("TASK", "RUNNING HANDLER")) and any(_tells(line) for line in block[1:]):
            kept += [_STARS.sub("", block[0]), *(line for line in block[1:] if line.strip())]
    text = "\n".join(printable(line) for line in kept[:LINES])
    if len(kept) > LINES or len(text) > LETTERS:
        text = f"{text[:LETTERS]}\n... more was printed: healer runs show ID --stdout, with the id of the plan run."
    return text or NOTHING


def _blocks(stdout: str) -> list[list[str]]:
    """From one banner to the next; what stands before the first belongs to none."""
    blocks: list[list[str]] = []
    for line in stdout.splitlines():
        if _BANNER.match(line):
            blocks.append([line])
        elif blocks:
            blocks[-1].append(line)
    return blocks


def _tells(line: str) -> bool:
    """Whether a line says that something would change: a task's end, or the head of a difference."""
    return line.startswith(("changed: ", "--- before"))
