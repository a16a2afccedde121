"""Who a browser is: signing in and out, and what each role is offered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from api.guard import COOKIE
from orchestrator import access
from orchestrator.domain.access import Role
from orchestrator.domain.verdicts import Answer
from tests.api.conftest import TOKEN
from tests.browser.conftest import Complaints, Opens, Site


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_token_is_a_sentence_and_a_right_one_leads_back(
    own: Site, browse: Opens, complaints: Complaints
) -> None:
    page = browse(own, f"/approvals/{own.night.asked}")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("This is no good token")
    assert page.context.cookies() == []
    complaints.expected("401")
    sign_in(page, TOKEN)

    expect(page).to_have_url(f"{own.url}/approvals/{own.night.asked}")
    expect(page.get_by_role("banner")).to_contain_text("web (admin)")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Lax")
    assert page.evaluate("document.cookie") == ""
    assert "session.opened" in [event.kind for event in own.store.events(after=own.store.newest() - 2)]


def test_signing_out_ends_it_also_for_the_back_button(own: Site, browse: Opens) -> None:
    page = browse(own, "/audit", role=Role.OPERATOR)
    expect(page.get_by_role("banner")).to_contain_text("web:olaf (operator)")
    page.get_by_role("button", name="Sign out").click()

    expect(page).to_have_url(f"{own.url}/login")
    page.go_back()
    expect(page.get_by_role("banner")).not_to_contain_text("web:olaf")
    assert page.context.cookies() == []


@pytest.mark.parametrize(
    ("role", "offered"),
    [(None, "Sign in to answer"), (Role.VIEWER, "needs the role approver"), (Role.OPERATOR, "needs the role approver")],
)
def test_who_may_not_answer_is_told_who_may(site: Site, browse: Opens, role: Role | None, offered: str) -> None:
    page = browse(site, f"/approvals/{site.night.asked}", role=role)

    expect(page.get_by_role("main")).to_contain_text(offered)
    assert page.get_by_role("button", name="Approve").count() == 0
    assert page.get_by_role("button", name="Deny").count() == 0


def test_a_token_that_is_revoked_ends_the_session_that_it_opened(own: Site, browse: Opens) -> None:
    token, made = access.issue(own.store, "pager", Role.APPROVER, 1, actor="cli:root", now=datetime.now(UTC))
    page = browse(own, "/login?next=/approvals")
    sign_in(page, str(made))
    expect(page.get_by_role("banner")).to_contain_text("web:pager (approver)")
    own.store.revoke_token(token.id, actor="cli:root", reason="left")
    page.reload()

    expect(page.get_by_role("banner")).not_to_contain_text("web:pager")


def test_an_answer_after_the_session_is_over_is_none_and_leads_back(own: Site, browse: Opens) -> None:
    page = browse(own, f"/approvals/{own.night.asked}", role=Role.APPROVER)
    (cookie,) = page.context.cookies()
    access.close_session(own.store, cookie["value"])
    page.get_by_role("textbox", name="Why").fill("seen with ben")
    page.get_by_role("button", name="Approve").click()
    expect(page).to_have_url(f"{own.url}/login?next=%2Fapprovals%2F{own.night.asked}")
    asked = own.store.approval(own.night.asked)
    sign_in(page, TOKEN)

    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    assert asked is not None
    assert asked.answer is Answer.PENDING
