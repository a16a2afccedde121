"""The pictures in the documentation, one of every page: `pytest tests/browser --screenshots docs/screenshots`."""

from __future__ import annotations

import re

from orchestrator import settings
from tests.browser.pages import PAGES

DOCS = settings.HOME / "docs"
#: Bytes of one, and of all of them.
ONE, ALL = 150_000, 2_000_000


def test_every_page_has_its_pictures_and_they_are_small() -> None:
    names = {
        f"{name}{kind}.png" for name, seen in PAGES.items() for kind in ("", *(f"-{one}" for one in seen.pictures))
    }
    sizes = {path.name: path.stat().st_size for path in (DOCS / "screenshots").iterdir()}

    assert set(sizes) == names
    assert max(sizes.values()) < ONE
    assert sum(sizes.values()) < ALL


def test_every_picture_is_shown_and_every_picture_that_is_shown_is_there() -> None:
    shown = set(re.findall(r"\]\(screenshots/([\w-]+\.png)\)", (DOCS / "dashboard.md").read_text(encoding="utf-8")))

    assert shown == {path.name for path in (DOCS / "screenshots").iterdir()}
