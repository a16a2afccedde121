"""The real google-genai client, over HTTP, against a server that speaks Gemini's wire format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.decide.gemini import GeminiChooser
from orchestrator.domain.actions import Action, Candidate, Parameter, ParameterSource, Risk
from orchestrator.domain.hosts import Secret
from orchestrator.domain.records import LogRecord
from orchestrator.errors import BadReply, HealingError, ModelTimeout, ModelUnavailable
from orchestrator.ports import Case
from tests.support.gemini_server import Behaviour, GeminiServer, Received, Reply, answer, envelope, failure, whole

KEY = Secret("AIzaCanaryCanaryCanaryCanaryCanary00")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INJECTIONS = [
    pytest.param(json.loads(line), id=str(number))
    for number, line in enumerate(
        (Path(__file__).parents[1] / "cases" / "injection" / "lines.jsonl").read_text("utf-8").splitlines(), start=1
    )
]


def action(name: str, parameter: str | None = None) -> Action:
    return Action(
        id=name,
        title=f"Title of {name}",
        when="It is needed.",
        not_when="It is not.",
        risk=Risk.LOW,
        reversible=False,
        task_timeout=30,
        run_timeout=60,
        settle_seconds=1,
        hold_seconds=1,
        parameters=(
            Parameter(
                name=parameter, type="str", required=True, description="What to touch.", source=ParameterSource.UNIT
            ),
        )
        if parameter
        else (),
    )


def record(message: str, seconds: int = 0) -> LogRecord:
    return LogRecord(
        time=NOW + timedelta(seconds=seconds), host="secret-host", unit="nginx.service", priority=3, message=message
    )


def case(*messages: str) -> Case:
    return Case(
        incident_id="inc-1",
        host="secret-host",
        unit="nginx.service",
        records=tuple(record(m, i) for i, m in enumerate(messages or ("nginx.service: Failed.",))),
        candidates=(
            Candidate(action="restart_service", values={"service": ("nginx.service", "web.service")}),
            Candidate(action="fix_permissions", values={"path": ("/usr/local/bin/job.sh",)}),
            Candidate(action="free_disk_space", values={}),
        ),
        actions=(
            action("restart_service", "service"),
            action("fix_permissions", "path"),
            action("free_disk_space"),
        ),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


class Pauses:
    """Notes how long the chooser wanted to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(scope="module")
def all_pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def pauses(all_pauses: Pauses) -> Pauses:
    all_pauses.seconds.clear()
    return all_pauses


# One for all tests, as in a worker: every answer must leave the client fit for the next question.
@pytest.fixture(scope="module")
def chooser(server: GeminiServer, all_pauses: Pauses) -> Iterator[GeminiChooser]:
    made = GeminiChooser(
        api_key=KEY, model="gemini-2.5-flash", timeout_seconds=20, base_url=server.url, pause=all_pauses
    )
    yield made
    made.close()


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

    GeminiChooser(api_key=KEY, model=model, timeout_seconds=20, base_url=server.url).choose(case())

    assert _thinking(server.requests[0].body["generationConfig"]) == thinking


def test_a_short_limit_of_ours_is_not_sent_as_a_deadline_that_the_service_refuses(server: GeminiServer) -> None:
    server.script(answer("escalate"))

    GeminiChooser(api_key=KEY, model="m", timeout_seconds=3, base_url=server.url).choose(case())

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


BAD: list[tuple[str, Behaviour, str]] = [
    ("prose", envelope("I would restart nginx."), "no JSON"),
    ("json in a fence", envelope('```json\n{"reason":"x"}\n```'), "no JSON"),
    ("no text", envelope(None), "no text"),
    ("empty text", envelope(""), "no JSON"),
    ("no candidates", whole({"candidates": []}), "no answer"),
    ("empty object", whole({}), "no answer"),
    ("null", whole(None), "answer"),
    ("a list", whole([1, 2]), "answer"),
    ("a number", whole(7), "answer"),
    ("a string", whole("restart_service"), "answer"),
    ("candidates of another type", whole({"candidates": {"a": 1}}), "answer"),
    ("parts of another type", whole({"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]}), "answer"),
    ("text of another type", whole({"candidates": [{"content": {"parts": [{"text": {}}]}}]}), "answer"),
    ("empty body", Reply(), "answer"),
    ("broken JSON", Reply(body=b'{"candidates": ['), "can't be read"),
    ("no UTF-8", Reply(body=b"\xff\xfe{}"), "answer"),
    ("deep nesting", Reply(body=b"[" * 100_000), "can't be read"),
    ("HTML", Reply(body=b"<html>ok</html>", content_type="text/html"), "can't be read"),
    ("MAX_TOKENS", envelope('{"reason":"x","choice":{"action":"esc', finish="MAX_TOKENS"), "MAX_TOKENS"),
    ("MAX_TOKENS with whole text", envelope('{"reason":"x","choice":{"action":"none"}}', finish="MAX_TOKENS"), "MAX"),
    ("SAFETY", envelope(None, finish="SAFETY"), "SAFETY"),
    ("RECITATION", envelope("{}", finish="RECITATION"), "RECITATION"),
    ("no finish reason", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1}', finish=None), "complete"),
    ("blocked question", whole({"promptFeedback": {"blockReason": "SAFETY"}}), "blocked"),
    ("two candidates", whole({"candidates": [{"finishReason": "STOP"}, {"finishReason": "STOP"}]}), "2 answers"),
    (
        "a function call",
        whole(
            {
                "candidates": [
                    {
                        "finishReason": "STOP",
                        "content": {"parts": [{"functionCall": {"name": "restart_service", "args": {}}}]},
                    }
                ]
            }
        ),
        "no text",
    ),
    ("an unknown action", answer("format_disk"), "not offered"),
    ("an action with another letter case", answer("Free_Disk_Space"), "not offered"),
    ("a known action that was not offered", answer("restart_network"), "not offered"),
    ("a list of two actions", envelope('[{"action":"none"},{"action":"escalate"}]'), "shape"),
    (
        "two actions in one",
        envelope('{"reason":"x","choice":{"action":["none","escalate"]},"confidence":1}'),
        "shape",
    ),
    ("two objects", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1}{"reason":"y"}'), "no JSON"),
    (
        "two choices under one key",
        envelope('{"reason":"x","choice":{"action":"none"},"choice":{"action":"free_disk_space"},"confidence":1}'),
        "twice",
    ),
    ("a parameter that was not offered", answer("restart_service", {"service": "ssh.service"}), "not offered"),
    ("a parameter with a command", answer("restart_service", {"service": "nginx.service; reboot"}), "not offered"),
    ("no parameter", answer("restart_service"), "not offered"),
    ("one parameter too many", answer("restart_service", {"service": "nginx.service", "x": "y"}), "not offered"),
    ("the parameter of another action", answer("restart_service", {"path": "/usr/local/bin/job.sh"}), "not offered"),
    ("a parameter for an action without", answer("free_disk_space", {"path": "/"}), "not offered"),
    ("a parameter for escalate", answer("escalate", {"service": "nginx.service"}), "parameters"),
    ("a parameter that is a list", answer("restart_service", {"service": ["nginx.service"]}), "shape"),
    ("a parameter that is null", answer("restart_service", {"service": None}), "shape"),
    ("an unknown field", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1,"approved":true}'), "shape"),
    ("no reason", envelope('{"choice":{"action":"none"},"confidence":1}'), "shape"),
    ("no confidence", envelope('{"reason":"x","choice":{"action":"none"}}'), "shape"),
    ("confidence above one", answer("none", confidence=1.1), "shape"),
    ("confidence as a word", answer("none", confidence="high"), "shape"),
    ("confidence NaN", envelope('{"reason":"x","choice":{"action":"none"},"confidence":NaN}'), "NaN"),
    ("confidence without end", envelope('{"reason":"x","choice":{"action":"none"},"confidence":1e999}'), "shape"),
    ("a number too long to read", envelope('{"confidence":' + "9" * 5000 + "}"), "can't be read"),
    ("nested brackets", envelope("[" * 8000), "can't be read"),
    ("a long text", answer("none", reason="x" * 9000), "characters"),
    ("a large body", answer("none", reason="x" * 300_000), "larger"),
    ("a body without end", Reply(endless=b"x" * 65536), "larger"),
    ("a packed body", Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "packed"),
]


@pytest.mark.parametrize(("behaviour", "says"), [pytest.param(b, s, id=name) for name, b, s in BAD])
def test_a_bad_reply_is_no_action(
    server: GeminiServer, chooser: GeminiChooser, behaviour: Behaviour, says: str
) -> None:
    server.script(behaviour)

    with pytest.raises(BadReply) as refused:
        chooser.choose(case())

    assert says in str(refused.value)
    assert str(refused.value).endswith("A person must look.")
    assert len(str(refused.value)) < 400
    assert len(server.requests) == 1


BUSY = failure(429, "RESOURCE_EXHAUSTED", "Slow down.", headers={"Retry-After": "7"})


def test_busy_once_then_well_waits_as_asked(server: GeminiServer, chooser: GeminiChooser, pauses: Pauses) -> None:
    server.script(BUSY, answer("none"))

    assert chooser.choose(case()).action == "none"
    assert pauses.seconds == [7]
    assert len(server.requests) == 2


def test_the_wait_may_be_named_in_the_body(server: GeminiServer, chooser: GeminiChooser, pauses: Pauses) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}
    server.script(failure(429, "RESOURCE_EXHAUSTED", "Slow down.", details=[retry]), answer("none"))

    assert chooser.choose(case()).action == "none"
    assert pauses.seconds == [3.5]


def test_busy_for_ever_gives_up_after_three_tries(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(BUSY)

    with pytest.raises(ModelUnavailable, match=r"busy.*429.*Slow down"):
        chooser.choose(case())
    assert len(server.requests) == 3


def test_a_wait_beyond_our_time_is_not_waited(server: GeminiServer, chooser: GeminiChooser, pauses: Pauses) -> None:
    server.script(failure(429, "RESOURCE_EXHAUSTED", "Tomorrow.", headers={"Retry-After": "86400"}))

    with pytest.raises(ModelUnavailable, match="Tomorrow"):
        chooser.choose(case())
    assert pauses.seconds == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("wait", ["Sun, 01 Mar 1970 00:00:00 GMT", "-5", "0"])
def test_a_wait_that_is_over_is_none(server: GeminiServer, chooser: GeminiChooser, pauses: Pauses, wait: str) -> None:
    server.script(failure(503, "UNAVAILABLE", "Later.", headers={"Retry-After": wait}), answer("none"))

    assert chooser.choose(case()).action == "none"
    assert pauses.seconds == [0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_service_is_tried_a_little(
    server: GeminiServer, chooser: GeminiChooser, pauses: Pauses, status: int
) -> None:
    server.script(failure(status, "INTERNAL", "Oops."), answer("none"))

    assert chooser.choose(case()).action == "none"
    assert pauses.seconds == [0.5]


@pytest.mark.parametrize("wait", ["soon", "nan", "inf"])
def test_a_wait_that_is_no_number_is_ours(
    server: GeminiServer, chooser: GeminiChooser, pauses: Pauses, wait: str
) -> None:
    server.script(failure(503, "UNAVAILABLE", "Later.", headers={"Retry-After": wait}), answer("none"))

    assert chooser.choose(case()).action == "none"
    assert pauses.seconds == [0.5]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_key_says_what_to_check(server: GeminiServer, chooser: GeminiChooser, status: int) -> None:
    server.script(failure(status, "PERMISSION_DENIED", f"API key not valid: {KEY}."))

    with pytest.raises(ModelUnavailable, match="Check the API key") as refused:
        chooser.choose(case())
    assert KEY not in str(refused.value)
    assert len(server.requests) == 1


def test_an_unknown_model_says_what_to_check(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(failure(404, "NOT_FOUND", "models/x is not found."))

    with pytest.raises(ModelUnavailable, match="gemini_model"):
        chooser.choose(case())


def test_a_redirect_is_not_followed(server: GeminiServer, chooser: GeminiChooser) -> None:
    with GeminiServer() as elsewhere:
        elsewhere.script(answer("none"))
        server.script(Reply(status=307, headers={"Location": elsewhere.url}))

        with pytest.raises(ModelUnavailable, match="307"):
            chooser.choose(case())

        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "reply", [Reply(silent=True), Reply(body=b'{"candidates":' + b" " * 1000, drip=0.01)], ids=["silent", "dripping"]
)
def test_a_late_answer_is_none(server: GeminiServer, reply: Reply) -> None:
    server.script(reply)
    hasty = GeminiChooser(api_key=KEY, model="m", timeout_seconds=0.3, base_url=server.url)

    with pytest.raises(ModelTimeout, match="did not answer within"):
        hasty.choose(case())


def test_a_connection_that_is_cut_is_tried_again(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(Reply(body=b'{"cand', cut=True), answer("none"))

    assert chooser.choose(case()).action == "none"


def test_nobody_listens(pauses: Pauses) -> None:
    with GeminiServer() as gone:
        url = gone.url
    chooser = GeminiChooser(api_key=KEY, model="m", timeout_seconds=20, base_url=url, pause=pauses)

    with pytest.raises(ModelUnavailable, match="could not be reached"):
        chooser.choose(case())
    assert len(pauses.seconds) == 2


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://[::bad/", "nonsense"])
def test_an_address_that_can_not_be_asked(url: str, pauses: Pauses) -> None:
    chooser = GeminiChooser(api_key=KEY, model="m", timeout_seconds=5, base_url=url, pause=pauses)

    with pytest.raises(HealingError) as refused:
        chooser.choose(case())
    assert KEY not in str(refused.value)


def test_a_key_that_is_no_key_is_never_quoted(server: GeminiServer, pauses: Pauses) -> None:
    server.script(answer("none"))
    chooser = GeminiChooser(
        api_key=Secret("canary\nkey"), model="m", timeout_seconds=5, base_url=server.url, pause=pauses
    )

    with pytest.raises(ModelUnavailable, match="Check the API key") as refused:
        chooser.choose(case())
    assert "canary" not in str(refused.value)
    assert server.requests == []


def test_the_environment_does_not_lead_elsewhere(server: GeminiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("GOOGLE_API_KEY", "another")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v9")
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx")
    server.script(answer("none"))
    chooser = GeminiChooser(api_key=KEY, model="m", timeout_seconds=20, base_url=server.url)

    assert chooser.choose(case()).action == "none"
    assert server.requests[0].path.startswith("/v1beta/")
    assert server.requests[0].headers["x-goog-api-key"] == KEY


def test_no_log_line_of_the_client_holds_the_key(
    server: GeminiServer, chooser: GeminiChooser, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(BUSY, failure(403, "PERMISSION_DENIED", str(KEY)))

    with caplog.at_level(logging.DEBUG), pytest.raises(ModelUnavailable):
        chooser.choose(case())

    assert caplog.records
    assert KEY not in caplog.text


@pytest.mark.parametrize("line", INJECTIONS)
def test_a_model_that_obeys_the_log_line_can_at_worst_pick_what_was_offered(
    server: GeminiServer, chooser: GeminiChooser, line: dict[str, Any]
) -> None:
    def obey(_: Received) -> Reply:
        return envelope(line["obeyed"]) if "obeyed" in line else answer(line["action"], line.get("parameters"))

    server.script(obey)
    shown = case("nginx.service: Failed.", line["message"])
    offered = {c.action: c.values for c in shown.candidates} | {"escalate": {}, "none": {}}

    try:
        decision = chooser.choose(shown)
    except BadReply:
        assert not line["offered"]
    else:
        assert line["offered"]
        assert decision.parameters.keys() == offered[decision.action].keys()
        assert all(value in offered[decision.action][name] for name, value in decision.parameters.items())
    # The line stayed inside of the fence, on one line.
    prompt = server.requests[0].prompt.splitlines()
    fences = [number for number, text in enumerate(prompt) if text.startswith("-----") and "data" in text]
    assert len(fences) == 2
    assert fences[1] - fences[0] == 3
