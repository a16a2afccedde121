"""What changes state: heal, inject-error, approvals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from orchestrator.domain.ids import IncidentId
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.records import Severity
from orchestrator.domain.runs import RunKind
from orchestrator.domain.verdicts import Answer, Outcome
from orchestrator.record.store import SqlStore
from tests.api.conftest import Stage, asks, assert_error, heals, judge, make_host, move, run

HEAL = "/api/auto-healer/heal"
INJECT = "/api/test/inject-error"


def report(**changed: Any) -> dict[str, Any]:
    body = {
        "service": "nginx",
        "message": "nginx.service: Failed with result 'signal'.",
        "level": "ERROR",
        "timestamp": "2026-01-31T08:00:00Z",
        "host": "web1",
    }
    return {key: value for key, value in {**body, **changed}.items() if value is not None}


def test_heal_goes_through_the_pipeline_and_answers_with_the_end(stage: Stage, client: TestClient) -> None:
    stage.pipeline = heals

    answer = client.post(HEAL, json=report())

    assert answer.status_code == 200
    assert answer.json()["status"] == "success"
    result = answer.json()["healing_result"]
    assert (result["status"], result["rule"]) == ("healed", "allowed")
    assert [one["status"] for one in result["actions"]] == ["succeeded"]
    assert result["verification"]["status"] == "succeeded"
    assert result["verification"]["held"]
    assert client.get(result["link"]).json()["incident"]["id"] == result["incident"]
    assert stage.triggered == [
        {
            "host": "web1",
            "service": "nginx",
            "level": Severity.ERROR,
            "timestamp": datetime(2026, 1, 31, 8, tzinfo=UTC),
            "actor": "api",
        }
    ]


def test_in_propose_mode_it_answers_202_with_the_approval(stage: Stage, client: TestClient) -> None:
    stage.pipeline = asks

    answer = client.post(HEAL, json=report())

    assert answer.status_code == 202
    result = answer.json()["healing_result"]
    assert (result["status"], result["rule"], result["actions"]) == ("pending_approval", "mode", [])
    assert stage.store.approval(result["approval"]) is not None


@pytest.mark.parametrize("state", [IncidentState.ESCALATED, IncidentState.ALREADY_WELL, IncidentState.NOISE])
def test_what_was_not_done_is_200_with_rule_and_reason(stage: Stage, client: TestClient, state: IncidentState) -> None:
    def pipeline(store: SqlStore, incident: IncidentId) -> None:
        judge(store, incident, Outcome.DENIED, "protected_unit")
        run(store, incident, RunKind.CHECK)
        move(store, incident, state, "refused by rule protected_unit")

    stage.pipeline = pipeline

    answer = client.post(HEAL, json=report())

    assert answer.status_code == 200
    result = answer.json()["healing_result"]
    assert (result["status"], result["rule"]) == (state.value, "protected_unit")
    assert (result["reason"], result["actions"]) == ("refused by rule protected_unit", [])
    assert (result["verification"] != {}) is (state is IncidentState.ALREADY_WELL)


def test_past_the_limit_it_answers_verifying_with_a_link(stage: Stage) -> None:
    stage.wait = 0.0
    stage.pipeline = lambda store, incident: move(store, incident, IncidentState.VERIFIED)

    with stage.client() as client:
        answer = client.post(HEAL, json=report())

    assert answer.status_code == 200
    result = answer.json()["healing_result"]
    assert (result["status"], result["link"]) == ("verifying", f"/api/incidents/{result['incident']}")


def test_the_only_host_need_not_be_named(stage: Stage) -> None:
    stage.hosts = (make_host("only"),)
    stage.pipeline = lambda store, incident: move(store, incident, IncidentState.ESCALATED)

    with stage.client() as client:
        assert client.post(HEAL, json=report(host=None)).status_code == 200

    assert stage.triggered[0]["host"] == "only"


@pytest.mark.parametrize("path", [HEAL, INJECT])
def test_with_several_hosts_one_must_be_named(client: TestClient, stage: Stage, path: str) -> None:
    body = report(host=None)
    if path == INJECT:
        del body["timestamp"]

    said = assert_error(client.post(path, json=body), 422, "host_needed", field="host")

    assert all(host in said for host in ("web1", "web2", "lab1"))
    assert stage.triggered == []


def test_an_unknown_host_is_answered_with_near_names(client: TestClient, stage: Stage) -> None:
    said = assert_error(client.post(HEAL, json=report(host="wbe1")), 422, "host_unknown", field="host")

    assert "web1" in said
    assert stage.triggered == []


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"level": "LOUD"}, "level", "WARNING, ERROR, CRITICAL"),
        ({"level": 3}, "level", "accepted are"),
        ({"timestamp": "yesterday"}, "timestamp", "ISO 8601"),
        ({"timestamp": 5}, "timestamp", "ISO 8601"),
        ({"timestamp": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "timestamp", "future"),
        ({"service": "nginx; reboot"}, "service", "pattern"),
        ({"service": "--all"}, "service", "pattern"),
        ({"service": ""}, "service", "at least 1"),
        ({"service": ["nginx"]}, "service", "string"),
        ({"message": "   "}, "message", "words"),
        ({"message": "x" * 8193}, "message", "8192"),
        ({"hots": "web1"}, "hots", "not permitted"),
    ],
)
def test_what_is_not_valid_names_its_field(
    client: TestClient, stage: Stage, changed: dict[str, Any], field: str, said: str
) -> None:
    assert said in assert_error(client.post(HEAL, json=report(**changed)), 422, "invalid", field=field)
    assert stage.triggered == []


@pytest.mark.parametrize("missing", ["service", "message", "level"])
def test_what_is_missing_is_named(client: TestClient, missing: str) -> None:
    assert_error(client.post(HEAL, json=report(**{missing: None})), 422, "invalid", field=missing)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
def test_a_body_that_is_no_object_is_a_clear_error(client: TestClient, stage: Stage, body: bytes) -> None:
    answer = client.post(HEAL, content=body, headers={"content-type": "application/json"})

    assert_error(answer, 422, "invalid", field="body")
    assert stage.triggered == []


def test_level_in_small_letters_and_time_without_offset_are_taken(client: TestClient, stage: Stage) -> None:
    stage.pipeline = heals

    assert client.post(HEAL, json=report(level="critical", timestamp="2026-01-31T08:00:00")).status_code == 200

    assert stage.triggered[0]["level"] is Severity.CRITICAL
    assert stage.triggered[0]["timestamp"] == datetime(2026, 1, 31, 8, tzinfo=UTC)


def test_control_characters_of_a_message_are_replaced(client: TestClient, stage: Stage) -> None:
    stage.pipeline = heals

    client.post(HEAL, json=report(message="a\x1b[31mb\nc\u202e"))

    shown = client.get("/api/system-logs/recent").json()["logs"][0]["message"]
    assert shown == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"


def injection(**changed: Any) -> dict[str, Any]:
    return {"service": "nginx", "message": "failed", "level": "ERROR", "source": "test", "host": "lab1", **changed}


def test_an_injected_error_enters_and_is_marked(stage: Stage, client: TestClient) -> None:
    answer = client.post(INJECT, json=injection())

    assert answer.status_code == 202
    incident = stage.store.incident(answer.json()["injected"]["incident"])
    assert incident is not None
    assert incident.origin is Origin.INJECTED
    assert stage.triggered[0]["actor"] == "api (test)"


def test_injecting_must_be_enabled(stage: Stage) -> None:
    stage.inject_errors = False

    with stage.client() as client:
        said = assert_error(client.post(INJECT, json=injection()), 403, "inject_disabled")

    assert "inject_errors" in said
    assert stage.triggered == []


def test_injecting_acts_on_lab_hosts_alone(client: TestClient, stage: Stage) -> None:
    assert_error(client.post(INJECT, json=injection(host="web1")), 403, "inject_refused", field="host")
    assert stage.triggered == []


def test_a_question_is_answered_once_with_a_reason(stage: Stage, client: TestClient) -> None:
    incident = stage.open()
    asks(stage.store, incident)
    path = f"/api/approvals/apr-{incident.removeprefix('inc-')}"

    assert_error(client.post(path, json={"answer": "approved", "reason": " "}), 422, "invalid", field="reason")
    assert_error(client.post(path, json={"answer": "pending", "reason": "x"}), 422, "invalid", field="answer")
    assert_error(client.post(path, json={"answer": "approved"}), 422, "invalid", field="reason")
    answer = client.post(path, json={"answer": "denied", "reason": "maintenance"})
    assert_error(client.post(path, json={"answer": "approved", "reason": "again"}), 409, "answered")

    assert answer.status_code == 200
    assert answer.json()["approval"]["answer"] == "denied"
    stored = stage.store.approvals([Answer.DENIED])[0]
    assert (stored.answered_by, stored.answer_reason) == ("api", "maintenance")
    assert_error(client.post("/api/approvals/apr-none", json={"answer": "denied", "reason": "x"}), 404, "not_found")


@pytest.mark.parametrize(
    ("bar", "status"), [("answered", 409), ("expired", 409), ("void", 409), ("approver", 403), ("four_eyes", 403)]
)
def test_an_answer_that_does_nothing_says_why(stage: Stage, client: TestClient, bar: str, status: int) -> None:
    incident = stage.open()
    asks(stage.store, incident)
    stage.bar = bar

    answer = client.post(
        f"/api/approvals/apr-{incident.removeprefix('inc-')}", json={"answer": "approved", "reason": "looked"}
    )

    assert_error(answer, status, bar)
    assert stage.store.approvals([Answer.PENDING])
