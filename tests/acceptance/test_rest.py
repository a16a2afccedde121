"""REST as the original description promises it: its paths, its answers, and its three test errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.conftest import Healer, wait_for

SCRIPT = "/usr/local/bin/nightly-backup.sh"


def test_status_history_and_statistics_have_the_promised_shape(serving: Healer) -> None:
    with serving.http() as client:
        status = client.get("/api/auto-healer/status").json()
        history = client.get("/api/auto-healer/history", params={"limit": 50}).json()
        statistics = client.get("/api/auto-healer/statistics").json()

    assert status["status"] == "success"
    assert set(status["auto_healer"]) >= {"enabled", "auto_execute", "monitoring", "max_attempts"}
    assert history["status"] == "success"
    assert history["count"] == len(history["history"])
    assert set(statistics["statistics"]) >= {"total_attempts", "successful", "failed", "pending", "success_rate"}


def test_whatever_changes_state_needs_the_token(serving: Healer) -> None:
    with serving.http() as client:
        for path in ("/api/auto-healer/heal", "/api/test/inject-error"):
            assert client.post(path, json={}).status_code == 401


def test_a_trigger_must_name_a_host_where_there_are_several(serving: Healer) -> None:
    with serving.http(token=True) as client:
        body = {"service": "nginx", "message": "nginx: down", "level": "ERROR"}
        answer = client.post("/api/auto-healer/heal", json=body)

    assert answer.status_code == 422
    assert all(host in answer.text for host in ("web1", "web2", "web3"))


def test_a_trigger_heals_what_is_broken_and_says_so(serving: Healer) -> None:
    serving.lab.execute("web1", "systemctl kill -s KILL nginx", check=False)
    with serving.http(token=True) as client:
        answer = client.post(
            "/api/auto-healer/heal",
            json={
                "service": "nginx",
                "message": "nginx.service: Main process exited, code=killed, status=9/KILL",
                "level": "ERROR",
                "host": "web1",
            },
        )

    assert answer.status_code == 200, answer.text
    result = answer.json()["healing_result"]
    assert result["status"] in ("healed", "already_well", "verifying"), result
    assert serving.lab.execute("web1", "systemctl is-active nginx").stdout.strip() == "active"


def test_in_propose_mode_a_trigger_asks(serving: Healer) -> None:
    serving.lab.execute("web3", "systemctl kill -s KILL nginx", check=False)
    with serving.http(token=True) as client:
        answer = client.post(
            "/api/auto-healer/heal",
            json={
                "service": "nginx",
                "message": "nginx.service: Failed with result 'signal'.",
                "level": "ERROR",
                "host": "web3",
            },
        )
        assert answer.status_code == 202, answer.text
        result = answer.json()["healing_result"]
        assert result["status"] == "pending_approval"
        serving("approvals", "deny", result["approval"], "--reason", "acceptance test")
    serving.lab.execute("web3", "systemctl reset-failed nginx; systemctl start nginx")


def test_a_protected_unit_is_refused_with_rule_and_reason(serving: Healer) -> None:
    with serving.http(token=True) as client:
        answer = client.post(
            "/api/auto-healer/heal",
            json={
                "service": "sshd",
                "message": "sshd.service: Failed with result 'signal'.",
                "level": "CRITICAL",
                "host": "web1",
            },
        )

    assert answer.status_code == 200
    assert answer.json()["healing_result"]["status"] == "escalated"


INJECTED: list[tuple[dict[str, str], str]] = [
    (
        {"service": "nginx", "message": "nginx.service: Failed with result 'signal'.", "level": "ERROR"},
        "restart_service",
    ),
    ({"service": "cron", "message": f"/bin/sh: 1: {SCRIPT}: Permission denied", "level": "ERROR"}, "fix_permissions"),
    (
        {"service": "app", "message": "write failed: No space left on device", "level": "CRITICAL"},
        "free_disk_space",
    ),
]


@pytest.mark.parametrize(("body", "action"), INJECTED, ids=[action for _, action in INJECTED])
def test_the_descriptions_three_test_errors(serving: Healer, body: dict[str, str], action: str) -> None:
    serving.lab.execute("web2", f"printf '#!/bin/sh\\nexit 0\\n' > {SCRIPT} && chmod 0644 {SCRIPT}")

    with serving.http(token=True) as client:
        answer = client.post("/api/test/inject-error", json={**body, "source": "acceptance", "host": "web2"})
    assert answer.status_code in (200, 202), answer.text

    def ended() -> dict[str, Any] | None:
        for incident in serving.incidents("web2"):
            shown = serving.json("incidents", "show", incident["id"])
            chosen = shown["decision"] and shown["decision"]["action"] == action
            over = incident["state"] in ("healed", "already_well", "escalated")
            if incident["origin"] == "injected" and chosen and over:
                return dict(shown)
        return None

    shown = wait_for(ended, f"the injected error was answered by {action}")
    expected = "healed" if action == "fix_permissions" else "already_well"
    assert shown["incident"]["state"] == expected, shown["incident"]["reason"]
    if action == "fix_permissions":
        assert serving.lab.execute("web2", f"stat -c %a {SCRIPT}").stdout.strip() == "755"


def test_metrics_have_the_four_names(serving: Healer) -> None:
    with serving.http() as client:
        text = client.get("/metrics").text

    for name in (
        "healing_attempts_total",
        "healing_success_total",
        "healing_failure_total",
        "healing_duration_seconds",
    ):
        assert name in text


def test_recent_logs_are_filtered_by_level(serving: Healer) -> None:
    with serving.http() as client:
        assert client.get("/api/system-logs/recent", params={"level": "ERROR"}).status_code == 200
        assert client.get("/api/system-logs/recent", params={"level": "LOUD"}).status_code == 422
