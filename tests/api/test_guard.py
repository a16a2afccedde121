"""Who may ask what, and the one shape in which everything else is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.bodies import BODY_LIMIT
from orchestrator.errors import ConfigError, HealingError, RecordError, StoreUnavailable
from tests.api.conftest import TOKEN, Stage, assert_error

CHANGES = ["/api/auto-healer/heal", "/api/test/inject-error", "/api/approvals/apr-1", "/not/there"]
READS = ["/api/auto-healer/status", "/api/auto-healer/history", "/api/incidents", "/metrics"]


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer tök\u00e9n"],
)
def test_a_change_needs_the_token_before_anything_is_looked_at(stage: Stage, path: str, header: str) -> None:
    with stage.client(token=False) as client:
        answer = client.post(path, content=b"{not json", headers={b"authorization": header.encode()})

    said = assert_error(answer, 401, "token")
    assert TOKEN not in said
    assert answer.headers["www-authenticate"] == "Bearer"
    assert stage.triggered == []


@pytest.mark.parametrize("path", READS)
def test_reads_are_open_on_loopback(stage: Stage, path: str) -> None:
    with stage.client(token=False) as client:
        answer = client.get(path)

    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("path", READS)
def test_off_loopback_reads_need_the_token_too(stage: Stage, path: str) -> None:
    stage.api_host = "0.0.0.0"
    with stage.client(token=False, url="http://healer.example:8420") as client:
        assert_error(client.get(path), 401, "token")
        assert client.get("/healthz").status_code == 200
    with stage.client(url="http://healer.example:8420") as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example:1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_host_name_is_refused(client: TestClient, host: str, method: str) -> None:
    assert_error(client.request(method, "/api/auto-healer/status", headers={"host": host}), 403, "host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8420", "LOCALHOST", "[::1]:8420"])
def test_our_own_names_are_taken(client: TestClient, host: str) -> None:
    assert client.get("/api/auto-healer/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, stage: Stage, headers: dict[str, str]) -> None:
    assert_error(client.post(CHANGES[0], json={}, headers=headers), 403, "origin")
    assert stage.triggered == []


def test_a_page_of_our_own_may_ask(client: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-origin"}

    assert_error(client.post(CHANGES[0], json={}, headers=headers), 422, "invalid", field="service")


def test_a_body_is_bounded_whether_it_says_its_size_or_not(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(BODY_LIMIT // 1024 + 1):
            yield b"x" * 1024

    assert_error(client.post(CHANGES[0], content=b"x" * (BODY_LIMIT + 1)), 413, "too_large")
    assert_error(client.post(CHANGES[0], content=chunks()), 413, "too_large")
    assert_error(client.post(CHANGES[0], content=b"x", headers={"content-length": "many"}), 413, "too_large")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_a_clear_error(client: TestClient, method: str) -> None:
    said = assert_error(client.request(method, "/api/auto-healer/status"), 405, "method")

    assert method in said


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("The store is held."), 503, "store_unavailable"),
        (RecordError("The store is damaged."), 500, "record"),
        (RuntimeError("secret detail"), 500, "internal"),
    ],
)
def test_an_error_of_ours_is_a_sentence_without_traceback(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def broken(**_: object) -> None:
        raise error

    monkeypatch.setattr(stage.store, "statistics", broken)
    with stage.client() as client:
        said = assert_error(client.get("/api/auto-healer/statistics"), status, code)

    assert "secret detail" not in said
    assert (str(error) in said) is isinstance(error, HealingError)


def test_an_empty_token_opens_nothing(stage: Stage) -> None:
    state = stage.state()
    with pytest.raises(ConfigError, match="token"):
        type(state)(
            store=state.store,
            fleet=state.fleet,
            settings=state.settings,
            token=" ",
            trigger=state.trigger,
            answer=state.answer,
            answer_outbreak=state.answer_outbreak,
            look=state.look,
            reading=state.reading,
            actions=state.actions,
        )
    assert TOKEN not in repr(state)
