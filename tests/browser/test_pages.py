"""Every page as a browser has it: whole, without a complaint, at any width, in light and dark, without scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from orchestrator.domain.access import Role
from tests.browser.conftest import DESKTOP, PHONE, Complaints, Opens, Site
from tests.browser.pages import PAGES, Seen

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
NAMES = pytest.mark.parametrize("name", PAGES)


def opened(browse: Opens, site: Site, complaints: Complaints, seen: Seen, **given: Any) -> Page:
    page = browse(site, seen.of(site.night), role=None if seen.path == "/login" else Role.APPROVER, **given)
    if seen is PAGES["not-there"]:
        complaints.expected("404")
    return page


@NAMES
def test_a_page_opens_and_can_be_found_ones_way_about(
    site: Site, browse: Opens, complaints: Complaints, picture: Callable[[Page, str], None], name: str
) -> None:
    page = opened(browse, site, complaints, PAGES[name])

    assert PAGES[name].shows in page.inner_text("main")
    assert page.title().endswith(" · healing-bot")
    for landmark in ("banner", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1, landmark
    assert page.get_by_role("navigation", name="Pages").count() == 1
    assert page.locator("h1").count() == 1
    picture(page, name)


@NAMES
def test_a_page_fits_a_phone(
    site: Site, browse: Opens, complaints: Complaints, picture: Callable[[Page, str], None], name: str
) -> None:
    page = opened(browse, site, complaints, PAGES[name], size=PHONE)

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    if "phone" in PAGES[name].pictures:
        picture(page, f"{name}-phone")


@NAMES
def test_a_page_reads_without_scripts(site: Site, browse: Opens, complaints: Complaints, name: str) -> None:
    page = opened(browse, site, complaints, PAGES[name], scripts=False)

    assert PAGES[name].shows in page.inner_text("main")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@NAMES
def test_axe_finds_nothing_serious(
    site: Site,
    browse: Opens,
    complaints: Complaints,
    picture: Callable[[Page, str], None],
    name: str,
    dark: bool,
) -> None:
    page = opened(browse, site, complaints, PAGES[name], dark=dark)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(one) for one in back.strip("rgb()").split(",")) < 384) is dark
    if dark and "dark" in PAGES[name].pictures:
        picture(page, f"{name}-dark")
    page.evaluate(AXE.read_text(encoding="utf-8"))

    for width, height in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in grave] == [], width
        assert len(found["passes"]) > 10
