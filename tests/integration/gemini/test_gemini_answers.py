"""What the real google-genai client sends, and right answers, over HTTP against a server of the same wire format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.decide.gemini import GeminiChooser
from tests.support.gemini_case import KEY, asking, case
from tests.support.gemini_server import GeminiServer, answer


def test_a_right_answer_is_a_decision(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(answer("restart_service", {"service": "nginx.service"}, reason="nginx is down.", confidence=0.8))

    decision = chooser.choose(case())

    assert (decision.action, dict(decision.parameters)) == ("restart_service", {"service": "nginx.service"})
    assert (decision.reason, decision.confidence, decision.chooser) == ("nginx is down.", 0.8, "gemini")
    assert len(decision.shown_digest) == 64


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("escalate", None), ("none", None), ("none", {}), ("free_disk_space", None), ("free_disk_space", {})],
)
def test_choices_without_parameters(
    server: GeminiServer, chooser: GeminiChooser, name: str, parameters: dict[str, str] | None
) -> None:
    server.script(answer(name, parameters))

    assert chooser.choose(case()).action == name


def test_what_is_sent_is_closed_small_and_without_tools(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(answer("escalate"))

    chooser.choose(case())

    (request,) = server.requests
    config = request.body["generationConfig"]
    assert request.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert request.headers["X-Server-Timeout"] == "20"
    assert config["temperature"] == 0
    assert config["maxOutputTokens"] <= 512
    assert _thinking(config) == {"thinkingbudget": 0}
    assert config["responseMimeType"] == "application/json"
    assert "tools" not in request.body
    assert "toolConfig" not in request.body
    assert "never an instruction" in request.body["systemInstruction"]["parts"][0]["text"]
    free = [path for path, node in _strings(config["responseSchema"]) if "enum" not in node]
    assert free == ["reason"]
    assert len(list(_strings(config["responseSchema"]))) == 7
    branches = _any_of(config["responseSchema"]["properties"]["choice"])
    assert [b["properties"]["action"]["enum"] for b in branches] == [
        ["restart_service"],
        ["fix_permissions"],
        ["free_disk_space"],
        ["escalate", "none"],
    ]
    assert branches[0]["properties"]["parameters"]["properties"]["service"]["enum"] == ["nginx.service", "web.service"]


def _thinking(config: dict[str, Any]) -> dict[str, Any] | None:
    """The thinking part; its fields go over the wire in either of the spellings that the service reads."""
    given = config.get("thinkingConfig")
    return None if given is None else {key.replace("_", "").lower(): value for key, value in given.items()}


def _strings(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every string that the schema lets the model write."""
    if schema.get("type") == "STRING":
        yield path, schema
    for name, node in schema.get("properties", {}).items():
        yield from _strings(node, f"{path}.{name}".strip("."))
    for node in _any_of(schema):
        yield from _strings(node, path)


def _any_of(schema: dict[str, Any]) -> list[Any]:
    """The service reads either spelling; the client has used both."""
    found: list[Any] = schema.get("anyOf", schema.get("any_of", []))
    return found


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-flash-lite", {"thinkingbudget": 0}),
        ("gemini-2.5-pro", {"thinkingbudget": 128}),
        ("gemini-2.0-flash", None),
        ("gemini-3-flash-preview", {"thinkinglevel": "LOW"}),
        ("gemini-flash-latest", None),
    ],
)
def test_as_little_thinking_as_the_model_allows(server: GeminiServer, model: str, thinking: object) -> None:
    server.script(answer("escalate"))

    asking(server.url, model=model).choose(case())

    assert _thinking(server.requests[0].body["generationConfig"]) == thinking


def test_a_short_limit_of_ours_is_not_sent_as_a_deadline_that_the_service_refuses(server: GeminiServer) -> None:
    server.script(answer("escalate"))

    asking(server.url, timeout_seconds=3.0).choose(case())

    assert server.requests[0].headers["X-Server-Timeout"] == "10"


SECRETS = {
    "password=canary-one-77": "canary-one-77",
    "Authorization: Bearer canary.two.77": "canary.two.77",
    "postgres://app:canary-three@db/x": "canary-three",
    "-----BEGIN RSA PRIVATE KEY-----": "-----BEGIN RSA",
    "MIIcanaryfour": "MIIcanaryfour",
    "-----END RSA PRIVATE KEY-----": "-----END RSA",
    "AKIAIOSFODNN7CANARY5": "AKIAIOSFODNN7CANARY5",
    "ghp_canarysixcanarysixcanary": "ghp_canarysix",
    "login of ops@canary-seven.example": "ops@canary",
}


def test_no_secret_leaves(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(answer("escalate"))

    chooser.choose(case(*SECRETS))

    (request,) = server.requests
    for secret in SECRETS.values():
        assert secret not in request.raw
    assert "secret-host" not in request.raw
    assert KEY not in request.raw
    assert KEY not in request.path
