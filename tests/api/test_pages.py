"""The dashboard's pages: what they show, whom they let in, and that nothing a host wrote is more than text."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from api.figures import percentile, rate
from api.guard import COOKIE
from api.identity import WRONG_MAX
from api.pages import PAGES
from api.pages.site import ansi, took
from api.roles import role_of
from orchestrator.domain.access import Role
from orchestrator.domain.actions import Decision
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Answer
from tests.api.conftest import TOKEN, Stage, asks, heals, move, run
from tests.api.test_roles import key

EVIL = "<script>alert(1)</script>\x1b[2J\x07 {{ 7*7 }} javascript:x"
HTML = {"accept": "text/html"}
PATHS = (
    *("/", "/incidents", "/outbreaks", "/approvals", "/runs", "/actions", "/memory", "/statistics", "/audit", "/login"),
    "/hosts/web1",
)


def signed_in(stage: Stage, role: Role | None = None, name: str = "ann") -> TestClient:
    client = stage.client(token=False)
    client.headers.update(HTML)
    answer = client.post("/login", data={"token": TOKEN if role is None else key(stage, role, name)})
    assert answer.status_code == 200, answer.text
    return client


def csrf(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', client.get("/").text)
    assert found
    return found[1]


def whole_story(stage: Stage, message: str = EVIL) -> str:
    incident = stage.open(message=message)
    stage.store.record_decision(
        incident,
        Decision(action="restart_service", parameters={"service": "nginx"}, reason=message, chooser="embedded"),
    )
    asks(stage.store, incident)
    return incident


@pytest.mark.parametrize("path", PATHS)
def test_a_page_says_something_useful_when_there_is_nothing(stage: Stage, path: str) -> None:
    with stage.client(token=False) as client:
        answer = client.get(path, headers=HTML)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<main" in answer.text
    assert 'lang="en"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    if path not in ("/login", "/actions"):
        assert 'class="empty"' in answer.text


def test_what_a_host_wrote_is_text_on_every_page(stage: Stage) -> None:
    incident = whole_story(stage)
    made = run(stage.store, incident, RunKind.ACT)  # type: ignore[arg-type]  # an id
    folder = stage.state().settings.artifacts_dir / made / "job_events"
    folder.mkdir(parents=True)
    (folder.parent / "stdout").write_text(EVIL, encoding="utf-8")
    (folder.parent / "parameters.json").write_text('{"playbook": "act.yml"}', encoding="utf-8")
    (folder.parent / "playbook").mkdir()
    (folder.parent / "playbook" / "act.yml").write_text(f"- name: Act {EVIL}", encoding="utf-8")
    data = {"task": EVIL, "host": EVIL, "duration": 1.5, "res": {"msg": EVIL, "changed": True}}
    (folder / "1-x.json").write_text(json.dumps({"event": "runner_on_ok", "event_data": data}), encoding="utf-8")
    with stage.client(token=False) as client:
        approval = next(iter(stage.store.approvals())).id
        pages = [*PATHS, f"/incidents/{incident}", f"/runs/{made}", f"/approvals/{approval}", "/parts/now"]
        texts = {path: client.get(path, headers=HTML).text for path in pages}

    for path, text in texts.items():
        assert "<script>alert" not in text, path
        assert "\x1b" not in text, path
        assert "\x07" not in text, path
        assert ">49<" not in text, path
    assert "&lt;script&gt;alert(1)" in texts[f"/incidents/{incident}"]
    assert "&lt;script&gt;alert(1)" in texts[f"/runs/{made}"]
    assert "- name: Act &lt;script&gt;" in texts[f"/runs/{made}"]


def test_the_story_tells_every_stage(stage: Stage) -> None:
    incident = whole_story(stage, "nginx failed")
    heals(stage.store, incident)  # type: ignore[arg-type]
    with stage.client(token=False) as client:
        text = client.get(f"/incidents/{incident}", headers=HTML).text

    places = [
        text.index(f"<h2>{word}") for word in ("Evidence", "Choice", "Verdict", "Question", "Check", "Act", "Verify")
    ]
    assert places == sorted(places)
    assert "nginx failed" in text
    assert "hx-get" not in text


def test_now_shows_what_waits_what_is_healed_and_how_well_each_host_is(stage: Stage) -> None:
    whole_story(stage, "nginx failed")
    stuck = stage.open("web2", "mysql.service")
    move(stage.store, stuck, IncidentState.ESCALATED, "no action helps")
    stage.store.stop(actor="ann", reason="storm")
    with stage.client(token=False) as client:
        text = client.get("/", headers=HTML).text

    assert "no action helps" in text
    assert "restart_service" in text
    cells = dict(re.findall(r'<span class="name">(\w+)</span> <span class="score">(\d+)</span>', text))
    assert cells == {"web1": "80", "web2": "60", "lab1": "100"}
    assert "storm" in text


def test_approving_at_a_browser_is_recorded_with_the_persons_name(stage: Stage) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    with signed_in(stage, Role.APPROVER) as client:
        page = client.get(f"/approvals/{asked.id}").text
        assert 'value="approved"' in page
        answer = client.post(
            f"/approvals/{asked.id}", data={"csrf": csrf(client), "answer": "approved", "reason": "looks right"}
        )

    assert answer.status_code == 200
    done = stage.store.approval(asked.id)
    assert done is not None
    assert (done.answer, done.answered_by, done.answer_reason) == (Answer.APPROVED, "web:ann", "looks right")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"answer": "approved", "reason": " "}, 422),
        ({"answer": "perhaps", "reason": "x"}, 422),
        ({"answer": "approved"}, 422),
        ({"answer": "approved", "reason": "x", "csrf": "0" * 64}, 403),
        ({"answer": "approved", "reason": "x", "csrf": ""}, 403),
    ],
)
def test_a_form_that_is_not_whole_or_not_ours_answers_nothing(stage: Stage, form: dict[str, str], status: int) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    with signed_in(stage, Role.APPROVER) as client:
        answer = client.post(f"/approvals/{asked.id}", data={"csrf": csrf(client), **form})

    assert answer.status_code == status
    (left,) = stage.store.approvals()
    assert left.answer is Answer.PENDING


def test_answering_twice_says_so(stage: Stage) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    with signed_in(stage) as client:
        form = {"csrf": csrf(client), "answer": "denied", "reason": "no"}
        client.post(f"/approvals/{asked.id}", data=form)
        again = client.post(f"/approvals/{asked.id}", data={**form, "answer": "approved"})

    assert again.status_code == 409
    assert "answered already" in again.text


def test_a_button_that_was_pressed_twice_answers_once_and_is_no_error(stage: Stage) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    with signed_in(stage, Role.APPROVER) as client:
        form = {"csrf": csrf(client), "answer": "approved", "reason": "yes"}
        answers = [client.post(f"/approvals/{asked.id}", data=form, follow_redirects=False) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert [event.kind for event in stage.store.events()].count("approval.approved") == 1


def test_a_viewer_sees_who_may_answer_and_can_not(stage: Stage) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    with signed_in(stage, Role.VIEWER) as client:
        page = client.get(f"/approvals/{asked.id}").text
        answer = client.post(f"/approvals/{asked.id}", data={"csrf": csrf(client), "answer": "approved", "reason": "x"})

    assert "needs the role approver" in page
    assert 'value="approved"' not in page
    assert answer.status_code == 403


def test_the_cookie_is_kept_from_scripts_and_other_sites(stage: Stage) -> None:
    with stage.client(token=False, url="https://127.0.0.1:8420") as client:
        answer = client.post("/login", data={"token": TOKEN, "next": "/audit"}, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/audit")
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure", "path=/", "max-age=43200"))
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\x0d\x0aX: y"]
)
def test_signing_in_leads_to_no_other_site(stage: Stage, target: str) -> None:
    with stage.client(token=False) as client:
        answer = client.post("/login", data={"token": TOKEN, "next": target}, follow_redirects=False)

    assert answer.headers["location"] == "/"


def test_a_session_ends_with_sign_out_and_with_its_token(stage: Stage) -> None:
    with signed_in(stage, Role.OPERATOR) as client:
        assert "web:ann (operator)" in client.get("/").text
        value = client.cookies[COOKIE]
        client.post("/logout", data={"csrf": csrf(client)})
        client.cookies.set(COOKIE, value)
        assert "web:ann" not in client.get("/").text
    with signed_in(stage, Role.OPERATOR, "bob") as client:
        assert "web:bob" in client.get("/").text
        token = next(one for one in stage.store.tokens() if one.name == "bob")
        stage.store.revoke_token(token.id, actor="cli:root", reason="left")
        assert "web:bob" not in client.get("/").text
    kinds = [event.kind for event in stage.store.events()]
    assert kinds.count("session.opened") == 2


def test_whoever_tries_tokens_at_the_sign_in_has_to_wait(stage: Stage) -> None:
    with stage.client(token=False) as client:
        answers = [client.post("/login", data={"token": "wrong"}).status_code for _ in range(WRONG_MAX + 1)]
        right = client.post("/login", data={"token": TOKEN})

    assert answers == [401] * WRONG_MAX + [429]
    assert right.status_code == 429
    assert COOKIE not in right.cookies
    assert [event.kind for event in stage.store.events()].count("api.refused") == 1


def test_off_loopback_a_page_leads_to_the_sign_in(stage: Stage) -> None:
    stage.api_host = "0.0.0.0"
    with stage.client(token=False, url="https://healer.example:8420") as client:
        answer = client.get("/audit", headers=HTML, follow_redirects=False)
        assert client.get("/static/style.css").status_code == 200
        assert client.get("/login").status_code == 200
        assert client.get("/api/v1/audit").status_code == 401

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faudit")


@pytest.mark.parametrize(
    "path",
    [
        *("/incidents/x", "/runs/x", "/approvals/x", "/outbreaks/x", "/memory/x", "/hosts/x", "/nowhere"),
        "/runs/x?after=z",
    ],
)
def test_what_is_not_there_is_a_page_too(stage: Stage, path: str) -> None:
    with stage.client(token=False) as client:
        answer = client.get(path, headers=HTML)

    assert answer.status_code in (404, 422)
    assert "Back to Now" in answer.text


def test_a_month_of_the_ledger_is_taken_away_whole(stage: Stage) -> None:
    stage.store.append("test.line", text="=1+1 evil", actor="@host")
    for number in range(3):
        stage.store.append("test.line", text=f"line {number}")
    month = f"{datetime.now(UTC):%Y-%m}"
    with stage.client(token=False) as client:
        sheet = client.get("/audit/export", params={"month": month, "form": "csv"})
        lines = client.get("/audit/export", params={"month": month, "form": "jsonl"}).text.splitlines()
        assert client.get("/audit/export", params={"month": "2020-12"}).text == ""
        assert client.get("/audit/export", params={"month": "2020-13"}).status_code == 422

    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [row["text"] for row in rows] == ["'=1+1 evil", "line 0", "line 1", "line 2"]
    assert rows[0]["actor"] == "'@host"
    assert [json.loads(line)["text"] for line in lines] == ["=1+1 evil", "line 0", "line 1", "line 2"]


def test_every_page_but_the_sign_in_needs_a_role_and_none_changes_anything_for_a_viewer() -> None:
    found = {
        (method, route.path): role_of(route)
        for module in PAGES
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert {place for place, role in found.items() if role is None} == {("GET", "/login"), ("POST", "/login")}
    changes = {place: role for place, role in found.items() if place[0] != "GET" and role is not None}
    assert changes == {
        ("POST", "/approvals/{approval_id}"): Role.APPROVER,
        ("POST", "/incidents/{incident_id}"): Role.OPERATOR,
        ("POST", "/logout"): Role.VIEWER,
        ("POST", "/memory/{signature}"): Role.ADMIN,
        ("POST", "/outbreaks/{outbreak_id}"): Role.APPROVER,
    }


def test_a_terminals_colours_are_words_and_its_orders_are_nothing() -> None:
    shown = str(ansi("\x1b[31mred\x1b[0m <b> \x1b]0;title\x07\x1b[2Jx\nnext"))

    assert shown.startswith('<span class="ansi1">red</span> &lt;b&gt; ')
    assert "\x1b" not in shown
    assert shown.splitlines()[-1] == "next"
    assert len(shown.splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_spans_are_told_as_people_do(seconds: float, said: str) -> None:
    assert took(seconds) == said


def test_figures_of_nothing_are_nothing_and_of_something_are_right() -> None:
    assert rate(0, 0) is None
    assert percentile([], 50) is None
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([1, 2, 3, 4], 95) == 4
    found = rate(9, 10)
    assert found is not None
    # Newcombe 1998 has (0.596, 0.982) for 9 of 10.
    assert [round(one, 1) for one in (found.percent, found.low, found.high)] == [90.0, 59.6, 98.2]


def test_whose_session_is_over_is_led_to_the_sign_in_and_back(stage: Stage) -> None:
    whole_story(stage)
    (asked,) = stage.store.approvals()
    place = f"/approvals/{asked.id}"
    with stage.client(token=False) as client:
        answer = client.post(place, data={"answer": "approved", "reason": "x"}, headers=HTML, follow_redirects=False)
    stage.api_host = "0.0.0.0"
    with stage.client(token=False, url="https://healer.example:8420") as client:
        headers = {**HTML, "hx-request": "true", "hx-current-url": "https://healer.example:8420/incidents/x?y=z"}
        part = client.get("/parts/incidents/x", headers=headers, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next=%2Fapprovals%2F{asked.id}")
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=%2Fincidents%2Fx")
    (left,) = stage.store.approvals()
    assert left.answer is Answer.PENDING


def test_a_form_that_is_refused_is_a_page_for_a_person_alone(stage: Stage) -> None:
    with signed_in(stage) as client:
        seen = client.post("/approvals/x", data={"csrf": "0" * 64})
        program = client.post("/approvals/x", data={"csrf": "0" * 64}, headers={"accept": "application/json"})

    assert (seen.status_code, program.status_code) == (403, 403)
    assert "older than the session" in seen.text
    assert "Back to Now" in seen.text
    assert program.json()["error"]["code"] == "csrf"
