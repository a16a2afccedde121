"""Answering a question at a browser: once, with a reason, by who may, and never by accident."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from orchestrator.domain.access import Role
from orchestrator.domain.verdicts import Answer, Approval
from tests.browser.conftest import Complaints, Opens, Site


def question(site: Site, browse: Opens, *, scripts: bool = True) -> Page:
    return browse(site, f"/approvals/{site.night.asked}", role=Role.APPROVER, scripts=scripts)


def stands(site: Site) -> Approval:
    found = site.store.approval(site.night.asked)
    assert found is not None
    return found


def answers(site: Site) -> list[int]:
    """How each call that asked for an answer ended."""
    called = [one for one in site.store.events(incident_id="", after=0, limit=10_000) if one.kind == "api.called"]
    return [one.data["status"] for one in called if site.night.asked in str(one.data.get("asked"))]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize(("button", "answer"), [("Approve", Answer.APPROVED), ("Deny", Answer.DENIED)])
def test_an_answer_is_recorded_and_shown(own: Site, browse: Opens, button: str, answer: Answer, scripts: bool) -> None:
    page = question(own, browse, scripts=scripts)
    expect(page.get_by_role("region", name="Output of check mode")).to_contain_text("+mode: '0755'")
    page.get_by_role("textbox", name="Why").fill("seen with ben")
    page.get_by_role("button", name=button).click()

    expect(page.get_by_role("main")).to_contain_text(f"{answer} by web:ann")
    expect(page.get_by_role("main")).to_contain_text("seen with ben")
    assert page.get_by_role("button", name=button).count() == 0
    done = stands(own)
    assert (done.answer, done.answered_by, done.answer_reason) == (answer, "web:ann", "seen with ben")
    page.goto("/approvals")
    assert own.night.asked not in page.content()


@pytest.mark.parametrize("typed", ["", "   "])
def test_no_answer_without_a_reason(own: Site, browse: Opens, complaints: Complaints, typed: str) -> None:
    page = question(own, browse)
    page.get_by_role("textbox", name="Why").fill(typed)
    page.get_by_role("button", name="Approve").click()

    if typed:
        expect(page.get_by_role("alert")).to_contain_text("Say why in a few words")
        complaints.expected("422")
    else:
        expect(page.get_by_role("textbox", name="Why")).to_be_focused()
    assert stands(own).answer is Answer.PENDING


def test_enter_in_the_reason_answers_nothing(own: Site, browse: Opens) -> None:
    page = question(own, browse)
    page.get_by_role("textbox", name="Why").fill("still thinking")
    page.get_by_role("textbox", name="Why").press("Enter")
    page.reload()

    assert stands(own).answer is Answer.PENDING
    assert answers(own) == []


def test_a_double_click_answers_once_and_is_no_error(own: Site, browse: Opens) -> None:
    page = question(own, browse)
    page.get_by_role("textbox", name="Why").fill("seen with ben")
    page.get_by_role("button", name="Approve").dblclick()

    expect(page.get_by_role("main")).to_contain_text("approved by web:ann")
    assert page.get_by_role("alert").count() == 0
    told = [one.kind for one in own.store.events(incident_id=own.night.asking)]
    assert told.count("approval.approved") == 1
    assert set(answers(own)) == {303}


def test_who_comes_too_late_is_told_and_changes_nothing(own: Site, browse: Opens, complaints: Complaints) -> None:
    page = question(own, browse)
    own.stage.answer(own.night.asked, Answer.DENIED, "cli:ben", "not tonight")
    page.get_by_role("textbox", name="Why").fill("seen")
    page.get_by_role("button", name="Approve").click()

    expect(page.get_by_role("alert")).to_contain_text("answered already")
    complaints.expected("409")
    expect(page.get_by_role("main")).to_contain_text("denied by cli:ben")
    assert stands(own).answer is Answer.DENIED


def test_a_form_of_another_session_does_nothing(own: Site, browse: Opens, complaints: Complaints) -> None:
    page = question(own, browse)
    page.locator("main input[name=csrf]").evaluate("field => { field.value = '0'.repeat(64); }")
    page.get_by_role("textbox", name="Why").fill("forged")
    page.get_by_role("button", name="Approve").click()

    expect(page.locator("body")).to_contain_text("older than the session")
    complaints.expected("403")
    assert stands(own).answer is Answer.PENDING


def test_a_form_of_another_site_does_nothing(own: Site, browse: Opens, complaints: Complaints) -> None:
    page = question(own, browse)
    target = f"{own.url}/approvals/{own.night.asked}"
    forged = f"""<form id=f method=post action="{target}"><input name=answer value=approved>
    <input name=reason value=forged></form><button form=f>Win</button>"""

    def elsewhere(route: Route) -> None:
        route.fulfill(body=forged, content_type="text/html")

    page.route("http://evil.example/**", elsewhere)
    page.goto("http://evil.example/")
    page.get_by_role("button", name="Win").click()

    expect(page.locator("body")).to_contain_text("A page of another site may change nothing here")
    complaints.expected("403")
    assert stands(own).answer is Answer.PENDING
