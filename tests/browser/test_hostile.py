"""Pages of what a hostile host logs, which is text and fits them, and pages that have nothing to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.record.store import open_store
from tests.browser.conftest import DESKTOP, PHONE, Complaints, Opens, Site, serving
from tests.browser.pages import PAGES
from tests.support import night

#: What would be there if anything of EVIL were more than text.
MADE = "main script, main img, main svg[onload], a[href^='javascript'], main [onerror], main [onload]"
SAYS = {
    "now": "/",
    "incidents": "/incidents",
    "incident": "/incidents/{night.hostile}",
    "approvals": "/approvals",
    "approval": "/approvals/{night.hostile_asked}",
    "runs": "/runs",
    "run": "/runs/{night.hostile_run}",
    "statistics": "/statistics",
    "audit": "/audit",
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("attacked")
    with serving(folder, night.tell(folder, attacked=True)) as served:
        yield served


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", SAYS)
def test_what_a_host_wrote_is_text(attacked: Site, browse: Opens, name: str, size: tuple[int, int]) -> None:
    page = browse(attacked, SAYS[name].format(night=attacked.night), size=size)

    assert "<script>alert('script')</script>" in page.inner_text("main")
    assert "<svg onload" in page.inner_text("main")
    assert page.locator(MADE).count() == 0
    assert "49" not in page.title()
    assert "\x1b" not in page.content()
    assert page.title().endswith(" · healing-bot")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, told: tuple[Path, night.Night]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bare")
    open_store(f"sqlite:///{folder / 'healer.sqlite'}").close()
    with serving(folder, told[1], hosts=()) as served:
        yield served


@pytest.mark.parametrize("name", [name for name, seen in PAGES.items() if seen.empty])
def test_a_page_says_something_useful_when_nothing_ever_happened(
    bare: Site, browse: Opens, complaints: Complaints, name: str
) -> None:
    page = browse(bare, PAGES[name].path)
    if name == "not-there":
        complaints.expected("404")

    assert PAGES[name].empty in page.inner_text("main")
    if name == "now":
        assert "No worker beats" in page.inner_text("main")
