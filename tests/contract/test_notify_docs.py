"""docs/notifications.md names every key and event of `[[notify]]`, and each example in it is one that Apprise takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from orchestrator import channels
from orchestrator.domain.notices import NoticeKind

PAGE = (Path(__file__).resolve().parents[2] / "docs/notifications.md").read_text(encoding="utf-8")


def test_every_key_has_its_row_and_no_row_is_left_over() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", PAGE, re.MULTILINE)

    assert dict(rows) == channels.KEYS


def test_every_event_has_its_row() -> None:
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE) == [kind.value for kind in NoticeKind]


def test_the_tables_that_the_page_shows_are_accepted() -> None:
    shown = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert shown
    for text in shown:
        assert channels.read(tomllib.loads(text)["notify"], {}, "docs/notifications.md")
