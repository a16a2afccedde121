"""What can be read, in the words of the original description."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from orchestrator.domain import ids
from orchestrator.domain.gauges import Gauges
from orchestrator.domain.hosts import Mode
from orchestrator.domain.incidents import IncidentState, Origin
from orchestrator.domain.notices import Channel, Told
from orchestrator.domain.records import Severity
from orchestrator.domain.runs import RunKind, RunStatus
from tests.api.conftest import Stage, asks, assert_error, heals, make_host, move, run


def test_status_is_word_for_word(client: TestClient) -> None:
    assert client.get("/api/auto-healer/status").json() == {
        "status": "success",
        "auto_healer": {"enabled": True, "auto_execute": True, "monitoring": True, "max_attempts": 3},
    }


def test_status_tells_of_the_kill_switch_of_propose_and_of_a_missing_worker(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.hosts = (make_host("web1", mode=Mode.PROPOSE),)
    stage.store.stop(actor="ann", reason="maintenance")
    monkeypatch.setattr(stage.store, "worker_seen", lambda: None)

    with stage.client() as client:
        told = client.get("/api/auto-healer/status").json()["auto_healer"]
        assert_error(client.get("/healthz"), 503, "worker_silent")

    assert (told["enabled"], told["auto_execute"], told["monitoring"]) == (False, False, False)
    assert "maintenance" in told["stopped"]


def test_healthz_is_short(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "success"}


def test_history_shows_error_status_actions_and_success(stage: Stage, client: TestClient) -> None:
    heals(stage.store, stage.open())
    failed = stage.open(unit="cron.service", message="cron failed")
    move(stage.store, failed, IncidentState.ESCALATED, "no action helps")

    body = client.get("/api/auto-healer/history", params={"limit": 50}).json()

    assert (body["status"], body["count"], len(body["history"])) == ("success", 2, 2)
    newest, oldest = body["history"]
    assert set(newest) >= {"timestamp", "error", "status", "actions", "success"}
    assert (newest["status"], newest["success"], newest["actions"]) == ("escalated", False, [])
    assert (oldest["status"], oldest["success"]) == ("healed", True)
    assert oldest["error"]["message"] == "nginx failed"
    assert [(one["action"], one["kind"], one["status"]) for one in oldest["actions"]] == [
        ("restart_service", "act", "succeeded")
    ]
    assert client.get("/api/auto-healer/history", params={"limit": 1}).json()["count"] == 1


def test_injected_errors_are_marked_and_left_out_of_statistics(stage: Stage, client: TestClient) -> None:
    heals(stage.store, stage.open())
    heals(stage.store, stage.open(unit="b.service", origin=Origin.INJECTED))

    history = client.get("/api/auto-healer/history").json()["history"]
    plain = client.get("/api/auto-healer/statistics").json()
    whole = client.get("/api/auto-healer/statistics", params={"injected": "true"}).json()

    assert [one["injected"] for one in history] == [True, False]
    assert client.get("/api/auto-healer/history", params={"injected": "false"}).json()["count"] == 1
    assert plain == {
        "status": "success",
        "statistics": {"total_attempts": 1, "successful": 1, "failed": 0, "pending": 0, "success_rate": 100.0},
    }
    assert whole["statistics"]["total_attempts"] == 2


def test_recent_logs_are_those_of_the_level_or_worse(stage: Stage, client: TestClient) -> None:
    stage.open(message="an error")
    stage.open(unit="b.service", message="a warning", level=Severity.WARNING)

    errors = client.get("/api/system-logs/recent", params={"level": "ERROR"}).json()
    warnings = client.get("/api/system-logs/recent", params={"level": "warning"}).json()

    assert (errors["status"], errors["count"]) == ("success", 1)
    assert {"message": "an error", "level": "ERROR", "host": "web1"}.items() <= errors["logs"][0].items()
    assert [one["message"] for one in warnings["logs"]] == ["a warning", "an error"]


def test_metrics_have_the_four_names_and_their_values(stage: Stage, client: TestClient) -> None:
    heals(stage.store, stage.open())
    failed = stage.open(unit="b.service")
    run(stage.store, failed, RunKind.ACT, RunStatus.FAILED)
    move(stage.store, failed, IncidentState.ESCALATED)

    answer = client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert "healing_attempts_total 2.0" in lines
    assert "healing_success_total 1.0" in lines
    assert "healing_failure_total 1.0" in lines
    assert "healing_duration_seconds_count 2.0" in lines
    assert "# TYPE healing_attempts_total counter" in lines
    assert "# TYPE healing_duration_seconds histogram" in lines
    assert 'healing_duration_seconds_bucket{le="+Inf"} 2.0' in lines


def test_metrics_say_what_waits_what_failed_too_often_and_who_was_told(stage: Stage) -> None:
    stage.settings = {
        "notify": (Channel(name="ops", url=None), Channel(name="new", url=None)),
        "breaker_least_attempts": 2,
        "breaker_last_attempts": 2,
    }
    stage.store.record_told(Told(channel="ops", through={}, messages=3, failures=2))
    stage.gauges = Gauges(model_away=True, notices_held={"ops": 4})
    for number in range(2):
        failed = stage.open(unit=f"{number}.service")
        run(stage.store, failed, RunKind.ACT, RunStatus.FAILED)
        move(stage.store, failed, IncidentState.ESCALATED)
    stage.open(unit="plan.service")
    move(stage.store, stage.open(unit="host.service"), IncidentState.HEALING)
    with stage.client() as client:
        lines = client.get("/metrics").text.splitlines()
        stage.gauges = Gauges()
    with stage.client() as client:
        embedded = client.get("/metrics").text

    assert {
        'healing_queue_depth{line="plan"} 1.0',
        'healing_queue_depth{line="turn"} 0.0',
        'healing_queue_depth{line="host"} 1.0',
        'healing_breaker_open{breaker="fleet"} 1.0',
        'healing_breaker_open{breaker="restart_service"} 1.0',
        'healing_breaker_open{breaker="clear_cache"} 0.0',
        'healing_breaker_open{breaker="model"} 1.0',
        'healing_notify_messages_total{channel="ops"} 3.0',
        'healing_notify_failures_total{channel="ops"} 2.0',
        'healing_notify_held{channel="ops"} 4.0',
        'healing_notify_held{channel="new"} 0.0',
    } <= set(lines)
    assert 'breaker="model"' not in embedded


def test_an_incident_is_shown_with_everything(stage: Stage, client: TestClient) -> None:
    incident = stage.open()
    heals(stage.store, incident)

    listed = client.get("/api/incidents", params={"host": "web1", "state": "healed"}).json()
    shown = client.get(f"/api/incidents/{incident}").json()

    assert [one["id"] for one in listed["incidents"]] == [incident]
    assert client.get("/api/incidents", params={"state": "open"}).json()["count"] == 0
    assert shown["incident"]["severity"] == "ERROR"
    assert shown["evidence"][0]["message"] == "nginx failed"
    assert shown["verdict"]["rule"] == "allowed"
    assert [one["kind"] for one in shown["runs"]] == ["verify", "act", "check"]
    assert shown["events"][0]["kind"] == "incident.opened"
    assert shown["healing_result"]["status"] == "healed"


def test_a_run_is_shown_with_its_tasks_and_files(stage: Stage, client: TestClient) -> None:
    incident = stage.open()
    name = run(stage.store, incident, RunKind.ACT)
    events = stage.state_dir / "artifacts" / name / "job_events"
    events.mkdir(parents=True)
    data = {"task": "restart", "host": "web1", "duration": 0.5, "res": {"changed": True}}
    (events / "1-x.json").write_text(json.dumps({"event": "runner_on_ok", "event_data": data}))

    shown = client.get(f"/api/runs/{name}").json()

    assert shown["run"]["status"] == "succeeded"
    assert [(one["name"], one["outcome"]) for one in shown["tasks"]] == [("restart", "changed")]
    assert [one["name"] for one in shown["files"]] == ["job_events/1-x.json"]


def test_questions_are_listed_with_their_digest(stage: Stage, client: TestClient) -> None:
    asks(stage.store, stage.open())

    listed = client.get("/api/approvals", params={"answer": "pending"}).json()

    assert listed["count"] == 1
    assert listed["approvals"][0]["digest"] == "d" * 64
    assert client.get("/api/approvals", params={"answer": "denied"}).json()["count"] == 0


def test_a_question_is_shown_with_what_it_rests_on(stage: Stage, client: TestClient) -> None:
    incident = stage.open()
    asks(stage.store, incident)

    shown = client.get(f"/api/approvals/{ids.approval_id(incident)}").json()

    assert shown["approval"]["changes"] == "would restart nginx.service"
    assert [one["message"] for one in shown["evidence"]] == ["nginx failed"]
    assert_error(client.get("/api/approvals/apr-none"), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/api/incidents/inc-none", "/api/runs/..%2f..%2fetc", "/nothing", "/docs", "/openapi.json"]
)
def test_what_is_not_there_is_a_clear_error(client: TestClient, path: str) -> None:
    assert_error(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/auto-healer/history?limit=0", "limit"),
        ("/api/auto-healer/history?limit=many", "limit"),
        ("/api/incidents?state=sick", "state"),
        ("/api/approvals?answer=maybe", "answer"),
        ("/api/system-logs/recent?level=LOUD", "level"),
    ],
)
def test_a_wrong_question_names_the_parameter(client: TestClient, path: str, field: str) -> None:
    assert_error(client.get(path), 422, "invalid", field=field)


def holds(told: Any, wanted: Any) -> bool:
    """Whether an answer has all that the description shows, each of the type that it shows; more may be there."""
    if isinstance(wanted, dict):
        return isinstance(told, dict) and all(name in told and holds(told[name], one) for name, one in wanted.items())
    return type(told) is type(wanted)


@pytest.mark.parametrize(
    ("way", "path", "body", "wanted"),
    [
        (
            *("GET", "/api/auto-healer/status", None),
            {"auto_healer": {"enabled": True, "auto_execute": True, "monitoring": True, "max_attempts": 3}},
        ),
        ("GET", "/api/auto-healer/history?limit=50", None, {"count": 15, "history": []}),
        (
            *("GET", "/api/auto-healer/statistics", None),
            {
                "statistics": {
                    **{"total_attempts": 25, "successful": 20, "failed": 5, "pending": 0},
                    "success_rate": 80.0,
                }
            },
        ),
        (
            *("POST", "/api/auto-healer/heal"),
            {
                "service": "nginx",
                "message": "down",
                "level": "ERROR",
                "timestamp": "2026-01-31T08:00:00",
                "host": "web1",
            },
            {"healing_result": {"status": "healed", "actions": [], "verification": {}}},
        ),
        (
            *("POST", "/api/test/inject-error"),
            {"service": "nginx", "message": "down", "level": "ERROR", "source": "test", "host": "lab1"},
            {},
        ),
        ("GET", "/api/system-logs/recent?level=ERROR", None, {"logs": []}),
    ],
)
def test_every_path_of_the_description_answers_as_it_says(
    stage: Stage, client: TestClient, way: str, path: str, body: dict[str, str] | None, wanted: dict[str, Any]
) -> None:
    stage.pipeline = heals
    heals(stage.store, stage.open("web2"))

    answer = client.request(way, path, json=body)

    assert answer.status_code in (200, 202), answer.text
    assert holds(answer.json(), {"status": "success", **wanted}), answer.text
    for shown in answer.json().get("history", ()):
        entry = {"timestamp": "", "error": {}, "status": "healed", "actions": [], "success": True}
        assert holds(shown, entry)
