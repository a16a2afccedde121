"""Without a mouse: every place is reached, and seen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orchestrator.domain.access import Role
from orchestrator.domain.verdicts import Answer
from tests.browser.conftest import Opens, Site

#: What has the focus, and whether that is seen: an outline, inside of the window.
PLACE = """() => {
  const place = document.activeElement, style = getComputedStyle(place), box = place.getBoundingClientRect();
  return {
    name: place.tagName + ' ' + (place.innerText || place.name || '').trim().slice(0, 60),
    outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


def walk(page: Page, *, until: str, most: int = 120) -> list[str]:
    """The places that Tab comes to, up to the one whose name ends so; each must be seen."""
    names: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        place: dict[str, Any] = page.evaluate(PLACE)
        assert place["outlined"], place
        assert place["inside"], place
        names.append(place["name"])
        if place["name"].endswith(until):
            return names
    pytest.fail(f"Tab never comes to {until}: {names}")


def test_the_first_place_leads_past_the_menu(site: Site, browse: Opens) -> None:
    page = browse(site, "/")
    assert walk(page, until="Skip to content") == ["A Skip to content"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")

    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/", "audit"),
        ("/incidents/{night.healed}", "lines of the ledger"),
        ("/runs/{night.good_run}", "List"),
        ("/statistics", "90 days"),
        ("/audit", "Export"),
    ],
)
def test_tab_comes_everywhere_and_is_seen(site: Site, browse: Opens, path: str, last: str) -> None:
    page = browse(site, path.format(night=site.night))
    if path == "/":
        last = page.get_by_role("link").last.inner_text().strip()

    assert walk(page, until=last[-40:])


def test_a_question_is_answered_by_keyboard_alone(own: Site, browse: Opens) -> None:
    page = browse(own, f"/approvals/{own.night.asked}", role=Role.APPROVER)
    walk(page, until="INPUT reason")
    page.keyboard.type("seen with ben")
    walk(page, until="Deny")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(PLACE)["name"] == "BUTTON Approve"
    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_contain_text("approved by web:ann")
    done = own.store.approval(own.night.asked)
    assert done is not None
    assert (done.answer, done.answer_reason) == (Answer.APPROVED, "seen with ben")
