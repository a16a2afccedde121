"""/api/v1: pages, links, triggers that can be repeated, signatures, and the stream."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import tarfile
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.serve import Server
from api.v1.hooks import TOLERANCE
from api.v1.shapes import ROOT
from orchestrator.domain.actions import ESCALATE, Decision
from orchestrator.domain.incidents import IncidentState
from orchestrator.domain.runs import RunKind
from tests.api.conftest import Stage, asks, assert_error, heals, move, run

SECRET = "s" * 32
REPORT = {"host": "web1", "service": "nginx", "message": "nginx is down", "level": "ERROR"}


def decided(stage: Stage, action: str = "restart_service", host: str = "web1", unit: str = "nginx.service") -> str:
    incident = stage.open(host, unit)
    parameters = {} if action == ESCALATE else {"service": unit}
    stage.store.record_decision(
        incident, Decision(action=action, parameters=parameters, reason="so", chooser="embedded")
    )
    return incident


def all_pages(client: TestClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following: str | None = path
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        following = page["next"]
    return found


@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("name", ["incidents", "decisions", "healings", "runs", "audit"])
def test_pages_give_each_row_once_also_while_others_come(
    stage: Stage, client: TestClient, name: str, sort: str
) -> None:
    for number in range(7):
        incident = decided(stage, unit=f"unit{number}.service")
        run(stage.store, incident, RunKind.ACT)  # type: ignore[arg-type]
    first = client.get(f"{ROOT}/{name}", params={"limit": 3, "sort": sort}).json()
    before = {json.dumps(one, sort_keys=True) for one in all_pages(client, f"{ROOT}/{name}?sort={sort}&limit=500")}
    run(stage.store, decided(stage, unit="late.service"), RunKind.ACT)  # type: ignore[arg-type]

    rest = all_pages(client, first["next"])

    shown = [json.dumps(one, sort_keys=True) for one in first["items"] + rest]
    assert len(shown) == len(set(shown))
    assert before <= set(shown)
    assert (set(shown) > before) is (sort == "oldest")


def test_filters_leave_what_they_name(stage: Stage, client: TestClient) -> None:
    one = decided(stage)
    two = decided(stage, ESCALATE, host="web2", unit="mysql.service")
    move(stage.store, two, IncidentState.ESCALATED)  # type: ignore[arg-type]
    run(stage.store, one, RunKind.ACT)  # type: ignore[arg-type]
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    def found(path: str, **asked: Any) -> list[str]:
        items = client.get(f"{ROOT}/{path}", params=asked).json()["items"]
        return [item.get("id") or item["incident"]["id"] for item in items]

    assert found("incidents") == [two, one]
    assert found("incidents", host="web2") == found("incidents", state="escalated") == [two]
    assert found("incidents", text="MYSQL") == found("incidents", action="escalate") == [two]
    assert found("incidents", text="%") == found("incidents", level="CRITICAL") == []
    assert found("incidents", since=future) == found("incidents", until="2020-01-01") == []
    assert found("decisions") == [two, one]
    assert found("healings") == [one]
    assert found("runs", kind="act", host="web1", action="restart_service", incident=one) == [f"{one}-act"]
    assert found("runs", kind="verify") == found("runs", status="failed") == found("runs", host="web2") == []
    kinds = {item["kind"] for item in client.get(f"{ROOT}/audit", params={"kind": "run"}).json()["items"]}
    assert kinds
    assert all(kind.startswith("run.") for kind in kinds)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "###"}, "cursor"),
        ({"cursor": "bm8="}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"sort": "random"}, "sort"),
        ({"since": "yesterday"}, "since"),
        ({"state": "sick"}, "state.0"),
        ({"level": "BAD"}, "level"),
    ],
)
def test_a_query_that_cannot_be_names_its_field(client: TestClient, query: dict[str, Any], field: str) -> None:
    assert_error(client.get(f"{ROOT}/incidents", params=query), 422, "invalid", field=field)


@pytest.mark.parametrize("path", ["incidents/x", "runs/x", "runs/x/stdout", "runs/x/artifacts", "approvals/x"])
@pytest.mark.parametrize("more", ["", "%00", "%2e%2e"])
def test_what_is_not_there_says_where_there_is_something(client: TestClient, path: str, more: str) -> None:
    assert_error(client.get(f"{ROOT}/{path}{more}"), 404, "not_found")


def test_a_run_shows_what_it_left_and_gives_it_as_one_archive(stage: Stage, client: TestClient) -> None:
    made = run(stage.store, stage.open(), RunKind.ACT)
    assert_error(client.get(f"{ROOT}/runs/{made}/artifacts"), 404, "not_found")
    folder = stage.state().settings.artifacts_dir / made
    (folder / "job_events").mkdir(parents=True)
    (folder / "stdout").write_text("\x1b[32mok\x1b[0m <b>", encoding="utf-8")
    result = {
        "event": "runner_on_ok",
        "event_data": {"task": "t", "host": "web1", "duration": 1, "res": {"msg": "<b>"}},
    }
    (folder / "job_events" / "1-x.json").write_text(json.dumps(result), encoding="utf-8")

    whole = client.get(f"{ROOT}/runs/{made}").json()
    said = client.get(whole["links"]["stdout"])
    archive = client.get(whole["links"]["artifacts"])

    assert [(task["outcome"], task["message"]) for task in whole["tasks"]] == [("ok", "<b>")]
    assert said.headers["content-type"].startswith("text/plain")
    assert said.text == "\x1b[32mok\x1b[0m <b>"
    with tarfile.open(fileobj=io.BytesIO(archive.content), mode="r:gz") as opened:
        assert sorted(opened.getnames()) == ["job_events/1-x.json", "stdout"]


def test_a_trigger_answers_with_a_place_to_look(stage: Stage, client: TestClient) -> None:
    answer = client.post(f"{ROOT}/heal", json=REPORT)

    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["link"]
    assert client.get(answer.headers["location"]).json()["incident"]["id"] == answer.json()["incident"]["id"]


def test_a_trigger_may_wait_for_the_end_or_the_question(stage: Stage, client: TestClient) -> None:
    stage.pipeline = heals
    healed = client.post(f"{ROOT}/heal?wait=30", json=REPORT)
    stage.pipeline = asks
    asked = client.post(f"{ROOT}/heal?wait=30", json={**REPORT, "service": "mysql"})

    assert (healed.status_code, healed.json()["incident"]["state"]) == (200, "healed")
    assert (asked.status_code, asked.json()["incident"]["state"]) == (202, "pending_approval")
    assert stage.store.approval(asked.json()["approval"]) is not None


def test_a_host_alone_is_looked_at(stage: Stage, client: TestClient) -> None:
    answer = client.post(f"{ROOT}/heal", json={"host": "web1"})
    assert answer.status_code == 202
    link = answer.json()["link"]
    assert client.get(link).json() == {
        "host": "web1",
        "ended": False,
        "text": "it is still being looked at",
        "incidents": [],
    }
    seq = int(link.rpartition("/")[2])
    data = {"incidents": ["inc-1"], "asked": seq}
    stage.store.append("look.ended", host="web1", text="looked", actor="api", data=data)
    assert client.get(link).json() == {"host": "web1", "ended": True, "text": "looked", "incidents": ["inc-1"]}
    assert_error(client.get(f"{ROOT}/looks/{seq + 1}"), 404, "not_found")


def test_the_same_key_asks_once(stage: Stage, client: TestClient) -> None:
    key = {"Idempotency-Key": "alert-4711"}
    first = client.post(f"{ROOT}/heal", json=REPORT, headers=key)
    again = client.post(f"{ROOT}/heal", json=REPORT, headers=key)
    other = client.post(f"{ROOT}/heal", json={**REPORT, "service": "mysql"}, headers=key)

    assert first.json() == again.json()
    assert len(stage.triggered) == 1
    assert_error(other, 409, "key_used")
    empty = client.post(f"{ROOT}/heal", json=REPORT, headers={"Idempotency-Key": "a b"})
    assert_error(empty, 422, "invalid", field="Idempotency-Key")


def test_a_key_whose_request_is_under_way_asks_to_wait_and_a_lost_one_may_ask_again(stage: Stage) -> None:
    now = datetime.now(UTC)
    keyed = stage.store.keyed
    assert keyed("api", "k", "d", stale=now - timedelta(minutes=1)).first
    assert not keyed("api", "k", "d", stale=now - timedelta(minutes=1)).first
    assert keyed("api:other", "k", "d", stale=now).first
    assert keyed("api", "k", "d", stale=now + timedelta(minutes=1)).first
    stage.store.answer_keyed("api", "k", "/x")
    known = keyed("api", "k", "d", stale=now + timedelta(minutes=1))
    assert (known.first, known.answer) == (False, "/x")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"host": "nowhere"}, "host"),
        ({"host": "web1", "service": "nginx"}, "body"),
        ({**REPORT, "timestamp": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "timestamp"),
        ({**REPORT, "command": "rm"}, "command"),
        ({}, "host"),
    ],
)
def test_a_trigger_that_cannot_be_does_nothing(
    stage: Stage, client: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = client.post(f"{ROOT}/heal", json=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field
    assert stage.triggered == []


def test_the_kill_switch_is_an_operators_and_its_lifting_an_admins(stage: Stage, client: TestClient) -> None:
    stopped = client.post(f"{ROOT}/stop", json={"reason": "storm"}).json()["stopped"]
    assert "storm" in stopped
    assert stage.canceled == 1
    assert client.post(f"{ROOT}/start", json={"reason": "over"}).json()["stopped"] is None


def test_alerts_enter_each_for_itself(stage: Stage, client: TestClient) -> None:
    def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
        return {
            "status": status,
            "labels": labels,
            "annotations": {"summary": "down"},
            "startsAt": "2026-01-31T08:00:00Z",
        }

    alerts = [
        alert(instance="web1:9100", name="nginx.service", severity="critical"),
        alert(host="nowhere", name="nginx.service"),
        alert("resolved", host="web1", name="nginx.service"),
        alert(host="web2", alertname="Odd", unit="a b"),
    ]
    answer = client.post(f"{ROOT}/hooks/alertmanager", json={"version": "4", "receiver": "healer", "alerts": alerts})

    assert answer.status_code == 202
    taken = answer.json()["items"]
    assert [one["incident"] is not None for one in taken] == [True, False, False, False]
    assert "no such host" in taken[1]["refused"]
    assert "resolved" in taken[2]["refused"]
    assert "service" in taken[3]["refused"]
    assert [(one["host"], one["service"], one["level"].name) for one in stage.triggered] == [
        ("web1", "nginx.service", "CRITICAL")
    ]


def signed(body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    moment = str(int(time.time() if at is None else at))
    made = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Healer-Signature": f"t={moment},v1={made}"}


def test_a_signed_request_needs_no_token_and_counts_once(stage: Stage) -> None:
    stage.webhook_secret = SECRET
    body = json.dumps(REPORT).encode()
    header = signed(body)
    with stage.client(token=False) as client:
        answer = client.post(f"{ROOT}/hooks/signed", content=body, headers=header)
        again = client.post(f"{ROOT}/hooks/signed", content=body, headers=header)

    assert answer.status_code == 202, answer.text
    assert_error(again, 409, "replayed")
    assert [one["actor"] for one in stage.triggered] == ["api:webhook"]
    called = [one for one in stage.store.events() if one.kind == "api.called"]
    assert [(one.actor, one.data["status"]) for one in called] == [("api:webhook", 202), ("api:webhook", 409)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Healer-Signature": "t=1,v1=" + "0" * 64},
        {"X-Healer-Signature": "nonsense"},
        signed(b"other"),
        signed(json.dumps(REPORT).encode(), secret="x" * 32),
        signed(json.dumps(REPORT).encode(), at=time.time() - TOLERANCE - 60),
        signed(json.dumps(REPORT).encode(), at=time.time() + TOLERANCE + 600),
    ],
)
def test_a_signature_that_is_not_ours_or_old_opens_nothing(stage: Stage, headers: dict[str, str]) -> None:
    stage.webhook_secret = SECRET
    with stage.client(token=False) as client:
        answer = client.post(f"{ROOT}/hooks/signed", content=json.dumps(REPORT).encode(), headers=headers)

    assert_error(answer, 401, "signature")
    assert stage.triggered == []


def test_signed_requests_are_off_without_a_secret_and_checked_with_one(stage: Stage) -> None:
    body = json.dumps({**REPORT, "level": "BAD"}).encode()
    with stage.client(token=False) as client:
        assert_error(client.post(f"{ROOT}/hooks/signed", content=body, headers=signed(body)), 403, "hooks_disabled")
    stage.webhook_secret = SECRET
    with stage.client(token=False) as client:
        refused = client.post(f"{ROOT}/hooks/signed", content=body, headers=signed(body))
    assert_error(refused, 422, "invalid", field="level")


def test_the_stream_goes_on_where_it_broke_off(stage: Stage) -> None:
    for number in range(3):
        stage.store.append("test.line", text=f"line {number}\n\nevent: forged\nid: 9", actor="host")
    server = Server(create_app(stage.state()), "127.0.0.1", 0)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}{ROOT}/stream"
        with httpx.stream("GET", url, headers={"Last-Event-ID": "1"}, timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            found = take(lines, 2)
            stage.store.append("test.line", text="line 3")
            found += take(lines, 1)
    finally:
        server.stop()

    assert [(one["id"], json.loads(one["data"])["kind"]) for one in found] == [
        ("2", "test.line"),
        ("3", "test.line"),
        ("4", "test.line"),
    ]
    assert [json.loads(one["data"])["text"].partition("\n")[0] for one in found] == ["line 1", "line 2", "line 3"]


def take(lines: Any, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if line == "" and event:
            found.append(event)
            event = {}
        elif name and colon:
            event[name] = value
        if len(found) == count:
            break
    return found


def test_streams_are_bounded(stage: Stage, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr("api.v1.stream._open", full)

    assert_error(client.get(f"{ROOT}/stream"), 429, "streams")
