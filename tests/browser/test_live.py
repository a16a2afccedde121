"""Pages that change while one looks, without being loaded again."""

from __future__ import annotations

from datetime import UTC, datetime

from playwright.sync_api import Frame, Page, Route, expect

from orchestrator.domain.access import Role
from orchestrator.domain.ids import RunId
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import PlaybookResult, RunStatus
from orchestrator.domain.verdicts import Answer
from orchestrator.record.artifacts import folder_of
from tests.browser.conftest import Complaints, Opens, Site
from tests.support import night
from tests.support.story import Clock, Step, Story, leave


class Stays:
    """Whether a page is the one that was opened."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._left: list[str] = []
        page.evaluate("window.stays = true")
        page.on("framenavigated", self._leaves)

    def _leaves(self, frame: Frame) -> None:
        self._left.append(frame.url)

    def __bool__(self) -> bool:
        return not self._left and bool(self._page.evaluate("window.stays === true"))


def story(site: Site) -> Story:
    hosts = {host.name: host for host in night.HOSTS}
    return Story(store=site.store, clock=Clock(), artifacts=site.stage.state_dir, hosts=hosts, actions=night.ACTIONS)


def test_now_shows_what_happens(own: Site, browse: Opens) -> None:
    page = browse(own, "/")
    stays = Stays(page)
    cell = page.get_by_role("region", name="Fleet").get_by_role("link", name="web4")
    told = story(own).trouble("web4", "varnish.service", "varnish.service: Failed with result 'signal'.")
    healing = page.get_by_role("region", name="Being healed")
    expect(healing).to_contain_text("varnish.service on web4")
    told.moved(IncidentState.ESCALATED, "no action of the whitelist helps: it asks for more memory")

    expect(page.get_by_role("region", name="Waits for you")).to_contain_text("it asks for more memory")
    expect(healing).not_to_contain_text("varnish.service")
    expect(cell).to_contain_text("escalated")
    assert stays


def test_a_question_that_somebody_else_answers_goes_away(own: Site, browse: Opens) -> None:
    page = browse(own, "/", role=Role.APPROVER)
    stays = Stays(page)
    waits = page.get_by_role("region", name="Waits for you")
    expect(waits).to_contain_text("fix_permissions on app1?")
    own.stage.answer(own.night.asked, Answer.APPROVED, "cli:ben", "seen")

    expect(waits).not_to_contain_text("fix_permissions on app1?")
    assert stays


def test_a_story_goes_on_to_its_end(own: Site, browse: Opens) -> None:
    page = browse(own, f"/incidents/{own.night.going}")
    stays = Stays(page)
    reason = "verified, and silent for 30 s"
    assert own.store.move(own.night.going, IncidentState.HEALED, reason, expected=[IncidentState.HEALING])

    expect(page.get_by_role("main")).to_contain_text(reason)
    assert stays


def test_what_happens_before_a_page_listens_is_shown(own: Site, browse: Opens) -> None:
    page, reason = browse(own, "/"), "verified, and silent for 30 s"

    def meanwhile(route: Route) -> None:
        own.store.move(own.night.going, IncidentState.HEALED, reason, expected=[IncidentState.HEALING])
        route.continue_()

    page.route("**/api/v1/stream", meanwhile)
    page.goto(f"/incidents/{own.night.going}")

    expect(page.get_by_role("main")).to_contain_text(reason)


def test_a_run_goes_on_to_its_end(own: Site, browse: Opens) -> None:
    page = browse(own, f"/runs/{own.night.going_run}")
    stays = Stays(page)
    expect(page.get_by_role("main")).to_contain_text("No task has ended yet")
    steps = (Step("restart_service : Restart it", "changed"),)
    folder = folder_of(own.stage.state().settings.artifacts_dir, own.night.going_run)
    leave(folder, "cache1", night.ACTIONS["restart_service"].playbook("act"), datetime.now(UTC), steps)
    result = PlaybookResult(run_id=RunId(own.night.going_run), status=RunStatus.SUCCEEDED, rc=0)
    own.store.finish(result, slot_shut=False)

    expect(page.get_by_role("main")).to_contain_text("succeeded")
    expect(page.get_by_role("region", name="Tasks on cache1")).to_contain_text("Restart it")
    assert stays


def test_the_place_of_who_goes_by_keyboard_is_kept(own: Site, browse: Opens) -> None:
    page = browse(own, "/")
    link = page.get_by_role("link", name="fix_permissions on app1?")
    link.focus()
    told = story(own).trouble("web4", "varnish.service", "varnish.service: Failed with result 'signal'.")
    expect(page.get_by_role("region", name="Being healed")).to_contain_text("varnish.service on web4")
    told.moved(IncidentState.NOISE, "noise")
    expect(page.get_by_role("region", name="Being healed")).not_to_contain_text("varnish.service on web4")

    expect(link).to_be_focused()


def test_a_page_says_when_it_hears_nothing_any_more(own: Site, browse: Opens, complaints: Complaints) -> None:
    page = browse(own, "/")
    lost = page.get_by_role("status")
    expect(lost).to_be_hidden()
    own.server.stop()

    expect(lost).to_contain_text("What you see may be out of date")
    complaints.expected("ERR_")
