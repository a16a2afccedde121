"""Every route times every role, and what becomes of keys that are no longer good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.identity import ADDRESSES, WINDOW, WRONG_MAX, Throttle
from api.main import ROUTES, create_app
from api.paths import PUBLIC, SIGNED
from api.roles import require_roles, role_of
from orchestrator import access
from orchestrator.domain.access import Role
from orchestrator.errors import StoreUnavailable
from tests.api.conftest import URL, Stage, assert_error

#: What each route needs; the documentation of a role is this table, and a new route must be added to it.
NEEDED = {
    "GET /api/approvals": Role.VIEWER,
    "GET /api/approvals/{approval_id}": Role.VIEWER,
    "POST /api/approvals/{approval_id}": Role.APPROVER,
    "POST /api/auto-healer/heal": Role.OPERATOR,
    "GET /api/auto-healer/history": Role.VIEWER,
    "GET /api/auto-healer/statistics": Role.VIEWER,
    "GET /api/auto-healer/status": Role.VIEWER,
    "GET /api/incidents": Role.VIEWER,
    "GET /api/incidents/{incident_id}": Role.VIEWER,
    "GET /api/runs/{run_id}": Role.VIEWER,
    "GET /api/system-logs/recent": Role.VIEWER,
    "POST /api/test/inject-error": Role.OPERATOR,
    "GET /api/v1": Role.VIEWER,
    "GET /api/v1/actions": Role.VIEWER,
    "GET /api/v1/actions/{action_id}": Role.VIEWER,
    "GET /api/v1/approvals": Role.VIEWER,
    "GET /api/v1/approvals/{approval_id}": Role.VIEWER,
    "POST /api/v1/approvals/{approval_id}": Role.APPROVER,
    "GET /api/v1/audit": Role.VIEWER,
    "GET /api/v1/decisions": Role.VIEWER,
    "POST /api/v1/breaker/reset": Role.ADMIN,
    "POST /api/v1/heal": Role.OPERATOR,
    "GET /api/v1/healings": Role.VIEWER,
    "GET /api/v1/health": Role.VIEWER,
    "POST /api/v1/hooks/alertmanager": Role.OPERATOR,
    "POST /api/v1/hooks/signed": None,
    "GET /api/v1/hosts": Role.VIEWER,
    "GET /api/v1/hosts/{name}": Role.VIEWER,
    "GET /api/v1/hosts/{name}/policy": Role.VIEWER,
    "GET /api/v1/incidents": Role.VIEWER,
    "GET /api/v1/incidents/{incident_id}": Role.VIEWER,
    "GET /api/v1/incidents/{incident_id}/exchange": Role.VIEWER,
    "POST /api/v1/incidents/{incident_id}/close": Role.OPERATOR,
    "GET /api/v1/looks/{seq}": Role.VIEWER,
    "GET /api/v1/memory": Role.VIEWER,
    "GET /api/v1/memory/{signature}": Role.VIEWER,
    "POST /api/v1/memory/{signature}/forbid": Role.ADMIN,
    "POST /api/v1/memory/{signature}/pin": Role.ADMIN,
    "POST /api/v1/memory/{signature}/release": Role.ADMIN,
    "GET /api/v1/openapi.json": Role.VIEWER,
    "GET /api/v1/outbreaks": Role.VIEWER,
    "GET /api/v1/outbreaks/{outbreak_id}": Role.VIEWER,
    "POST /api/v1/outbreaks/{outbreak_id}": Role.APPROVER,
    "GET /api/v1/policy": Role.VIEWER,
    "GET /api/v1/runs": Role.VIEWER,
    "GET /api/v1/runs/{run_id}": Role.VIEWER,
    "GET /api/v1/runs/{run_id}/artifacts": Role.VIEWER,
    "GET /api/v1/runs/{run_id}/events": Role.VIEWER,
    "GET /api/v1/runs/{run_id}/stdout": Role.VIEWER,
    "POST /api/v1/start": Role.ADMIN,
    "GET /api/v1/statistics": Role.VIEWER,
    "GET /api/v1/status": Role.VIEWER,
    "POST /api/v1/stop": Role.OPERATOR,
    "GET /api/v1/stream": Role.VIEWER,
    "GET /healthz": None,
    "GET /metrics": Role.VIEWER,
}
ROLES: tuple[Role | None, ...] = (None, *Role)


def routes() -> dict[str, APIRoute]:
    found = [route for module in ROUTES for route in module.router.routes if isinstance(route, APIRoute)]
    return {f"{method} {route.path}": route for route in found for method in route.methods or ()}


def key(stage: Stage, role: Role, name: str = "someone") -> str:
    token, made = access.issue(stage.store, name, role, 1, actor="cli:root", now=datetime.now(UTC))
    assert made not in repr((token, made))
    return str(made)


def caller(stage: Stage, role: Role | None) -> TestClient:
    client = stage.client(token=False)
    if role is not None:
        client.headers["authorization"] = f"Bearer {key(stage, role)}"
    return client


def test_the_table_has_every_route_and_says_what_the_route_says() -> None:
    assert {name: role_of(route) for name, route in routes().items()} == NEEDED
    assert {name.split()[1] for name, role in NEEDED.items() if role is None} == PUBLIC | SIGNED


@pytest.mark.parametrize("role", ROLES, ids=lambda role: str(role or "nobody"))
def test_every_route_times_every_role(stage: Stage, role: Role | None) -> None:
    with caller(stage, role) as client:
        for name, needed in NEEDED.items():
            method, path = name.split()
            # The stream has no end; its own test opens it.
            if path.endswith("/stream"):
                continue
            asked = path.replace("{", "").replace("}", "")
            answer = client.request(method, asked, json={} if method == "POST" else None)
            if path in SIGNED:
                assert_error(answer, 403, "hooks_disabled")
            elif role is None and method == "POST":
                assert_error(answer, 401, "token")
            elif role is not None and needed is not None and not role.may(needed):
                said = assert_error(answer, 403, "role")
                assert needed in said
                assert role in said
            else:
                # Nobody on the loopback address reads like a viewer; the rest is the route's own answer.
                assert answer.status_code in (200, 404, 422), (name, answer.text)
    assert stage.triggered == []


def test_roles_stand_in_a_row() -> None:
    may = {role: [needed for needed in Role if role.may(needed)] for role in Role}

    assert [len(may[role]) for role in (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)] == [1, 2, 3, 4]


def test_a_route_without_a_role_is_not_served() -> None:
    router = APIRouter()
    router.add_api_route("/open", lambda: None, response_model=None)

    with pytest.raises(ValueError, match="/open"):
        require_roles(router)


@pytest.mark.parametrize("ended", ["revoked", "expired", "unknown", "altered"])
def test_a_key_that_is_no_longer_good_opens_nothing(stage: Stage, ended: str) -> None:
    made = key(stage, Role.ADMIN)
    if ended == "revoked":
        (token,) = stage.store.tokens()
        assert stage.store.revoke_token(token.id, actor="cli:root", reason="left")
    if ended == "expired":
        past = datetime.now(UTC) - timedelta(days=2)
        made = str(access.issue(stage.store, "old", Role.ADMIN, 1, actor="cli:root", now=past)[1])
    if ended == "unknown":
        made = f"healer_{'0' * 12}_{'A' * 43}"
    if ended == "altered":
        made = made[:-1] + ("A" if made[-1] != "A" else "B")
    with stage.client(token=False) as client:
        answer = client.post("/api/test/inject-error", json={}, headers={"authorization": f"Bearer {made}"})

    assert made not in assert_error(answer, 401, "token")
    assert made not in str(stage.store.events())


def test_a_change_is_recorded_with_actor_address_and_outcome(stage: Stage) -> None:
    with stage.client(token=False) as client:
        client.headers["authorization"] = f"Bearer {key(stage, Role.OPERATOR, 'pager')}"
        client.post("/api/approvals/apr-1%1b[2J", json={"answer": "approved", "reason": "x"})
        client.post("/api/auto-healer/heal", json={})
        client.get("/api/incidents")

    called = [event for event in stage.store.events() if event.kind == "api.called"]
    assert [(event.actor, event.data["status"], event.data["role"]) for event in called] == [
        ("api:pager", 403, "operator"),
        ("api:pager", 422, "operator"),
    ]
    assert all(event.data["address"] == "testclient" and "\x1b" not in event.text for event in called)


def test_an_answer_is_recorded_before_it_is_given(stage: Stage) -> None:
    app, known = create_app(stage.state()), []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def look_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                known.append([event.data["status"] for event in stage.store.events() if event.kind == "api.called"])
            await send(message)

        await app(scope, receive, look_and_send)

    with TestClient(watched, base_url=URL) as client:
        client.headers["authorization"] = f"Bearer {key(stage, Role.OPERATOR, 'pager')}"
        client.post("/api/approvals/apr-1", json={"answer": "approved", "reason": "x"})
        client.post("/api/auto-healer/heal", json={})

    assert known == [[403], [403, 422]]


def test_an_error_of_ours_is_recorded_as_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(stage, "trigger", broken)
    body = {"service": "nginx", "message": "down", "level": "ERROR", "host": "web1"}
    with stage.client() as client:
        assert_error(client.post("/api/auto-healer/heal", json=body), 500, "internal")

    assert [event.data["status"] for event in stage.store.events() if event.kind == "api.called"] == [500]


def test_use_is_recorded_to_the_minute(stage: Stage) -> None:
    made, now = key(stage, Role.VIEWER), datetime.now(UTC)
    seen = []
    for seconds in (0, 30, 59, 61, 90):
        assert access.known(stage.store, made, now + timedelta(seconds=seconds))
        seen.append(stage.store.tokens()[0].used_at)

    assert seen == [now, now, now, now + timedelta(seconds=61), now + timedelta(seconds=61)]


def test_whoever_tries_keys_has_to_wait_and_fills_no_ledger(stage: Stage) -> None:
    with stage.client(token=False) as client:
        wrong = {"authorization": "Bearer wrong"}
        for _ in range(WRONG_MAX):
            assert_error(client.get("/api/incidents", headers=wrong), 401, "token")
        held = client.get("/api/incidents", headers=wrong)
        good = client.get("/api/incidents", headers={"authorization": f"Bearer {key(stage, Role.VIEWER)}"})

    assert_error(held, 429, "throttled")
    assert 0 < int(held.headers["retry-after"]) <= WINDOW
    assert_error(good, 429, "throttled")
    assert len([event for event in stage.store.events() if event.kind == "api.refused"]) == 1


def test_the_throttle_forgets_after_its_window_and_is_bounded() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    first = [throttle.wrong("192.0.2.1") for _ in range(WRONG_MAX)]
    assert first == [True, *[False] * (WRONG_MAX - 1)]
    assert throttle.wait("192.0.2.1") == WINDOW
    assert throttle.wait("192.0.2.2") == 0
    now = WINDOW
    assert throttle.wait("192.0.2.1") == 0
    assert throttle.wrong("192.0.2.1")

    for one in range(WRONG_MAX):
        throttle.wrong(f"2001:db8::{one}")
    assert throttle.wait("2001:db8::ffff") > 0
    assert throttle.wait("2001:db8:0:1::1") == 0
    for one in range(ADDRESSES):
        throttle.wrong(f"host-{one}")
    assert throttle.wait("2001:db8::ffff") == 0


def test_a_store_that_does_not_answer_is_no_wrong_key(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = key(stage, Role.VIEWER)

    def held(_: str) -> None:
        raise StoreUnavailable("The store is held.")

    monkeypatch.setattr(stage.store, "token", held)
    with stage.client(token=False) as client:
        answer = client.get("/api/incidents", headers={"authorization": f"Bearer {made}"})

    assert_error(answer, 503, "store_unavailable")


def test_the_name_of_a_proxy_on_this_machine_is_answered_to(stage: Stage) -> None:
    state = stage.state()
    with TestClient(create_app(state), base_url=URL) as client:
        assert_error(client.get("/api/incidents", headers={"host": "healer.example.org"}), 403, "host")
    stage.api_url = "https://healer.example.org"
    with stage.client() as client:
        assert client.get("/api/incidents", headers={"host": "healer.example.org"}).status_code == 200
