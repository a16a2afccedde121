"""The service is busy, failing, late, gone, or refuses us."""

from __future__ import annotations

import logging

import pytest

from orchestrator.decide.gemini import GeminiChooser
from orchestrator.domain.hosts import Secret
from orchestrator.errors import HealingError, ModelTimeout, ModelUnavailable
from tests.support.gemini_case import KEY, Pauses, asking, case
from tests.support.gemini_server import GeminiServer, Reply, answer, failure

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


def test_a_key_of_no_known_shape_is_not_quoted_either(server: GeminiServer) -> None:
    server.script(failure(403, "PERMISSION_DENIED", "No access for plain0key."))
    chooser = asking(server.url, api_key=Secret("plain0key"))

    with pytest.raises(ModelUnavailable, match="No access for") as refused:
        chooser.choose(case())
    assert "plain0key" not in str(refused.value)


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
    hasty = asking(server.url, timeout_seconds=0.3)

    with pytest.raises(ModelTimeout, match="did not answer within"):
        hasty.choose(case())


def test_a_connection_that_is_cut_is_tried_again(server: GeminiServer, chooser: GeminiChooser) -> None:
    server.script(Reply(body=b'{"cand', cut=True), answer("none"))

    assert chooser.choose(case()).action == "none"


def test_nobody_listens(pauses: Pauses) -> None:
    with GeminiServer() as gone:
        url = gone.url
    chooser = asking(url, pause=pauses)

    with pytest.raises(ModelUnavailable, match="could not be reached"):
        chooser.choose(case())
    assert len(pauses.seconds) == 2


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://[::bad/", "nonsense"])
def test_an_address_that_can_not_be_asked(url: str, pauses: Pauses) -> None:
    chooser = asking(url, pause=pauses, timeout_seconds=5.0)

    with pytest.raises(HealingError) as refused:
        chooser.choose(case())
    assert KEY not in str(refused.value)


def test_a_key_that_is_no_key_is_never_quoted(server: GeminiServer, pauses: Pauses) -> None:
    server.script(answer("none"))
    chooser = asking(server.url, pause=pauses, api_key=Secret("canary\nkey"), timeout_seconds=5.0)

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
    chooser = asking(server.url)

    assert chooser.choose(case()).action == "none"
    assert server.requests[0].path == "/v1beta/models/m:generateContent"
    assert server.requests[0].headers["x-goog-api-key"] == KEY


def test_no_log_line_of_the_client_holds_the_key(
    server: GeminiServer, chooser: GeminiChooser, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(BUSY, failure(403, "PERMISSION_DENIED", str(KEY)))

    with caplog.at_level(logging.DEBUG), pytest.raises(ModelUnavailable):
        chooser.choose(case())

    assert caplog.records
    assert KEY not in caplog.text
