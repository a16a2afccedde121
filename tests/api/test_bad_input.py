"""Nonsense, floods and standstill over a real socket: each is answered in the one shape or let go, and others go on."""

from __future__ import annotations

import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import bodies, connection
from api.main import create_app
from api.serve import Server
from api.v1 import stream
from orchestrator.record.store import open_store
from tests.api.conftest import TOKEN, Stage, assert_error, heals

HEAL = "/api/v1/heal"
STREAM = "/api/v1/stream"
BEARER = {"authorization": f"Bearer {TOKEN}"}
JSON = {**BEARER, "content-type": "application/json"}
#: Seconds after which a socket of these tests is stuck.
STUCK = 20


@contextmanager
def serving(stage: Stage) -> Iterator[int]:
    server = Server(create_app(stage.state()), stage.api_host, 0)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@pytest.fixture
def port(stage: Stage) -> Iterator[int]:
    with serving(stage) as port:
        yield port


class Read:
    """What came over a socket."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.status_code, self.headers = answer.status, {k.lower(): v for k, v in answer.getheaders()}
        self.text = answer.read().decode()

    def json(self) -> Any:
        return json.loads(self.text)


def line_up(method: str, path: str, **headers: str) -> bytes:
    given = {"host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in given.items())


def say(port: int, *pieces: bytes, method: str = "GET") -> Read:
    """Send it as it is, and read one answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as ours:
        for piece in pieces:
            ours.sendall(piece)
        return read(ours, method)


def read(ours: socket.socket, method: str = "GET") -> Read:
    answer = HTTPResponse(ours, method=method)
    answer.begin()
    return Read(answer)


def is_well(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


BODIES: tuple[tuple[bytes, str], ...] = (
    (b"{", "body"),
    (b"", "body"),
    (b'{"host": "web1"}' * 2, "body"),
    (b"[" * 60_000, "body"),
    (b'{"host":' * 8_000, "body"),
    (b"[" * 900 + b"]" * 900, "body"),
    (b"\x00", "body"),
    (b'{"host": "web1\x00"}', "body"),
    (b'{"host": "\xff\xfe"}', "body"),
    (b'{"host": "\\ud800"}', "host"),
    (b'{"host": "web1\\u0000"}', "host"),
    (b'{"host": "nowhere"}', "host"),
    (b'{"host": ["web1"]}', "host"),
    (b'{"host": 1e999}', "host"),
    (b'{"host": ' + b"9" * 5000 + b"}", "body"),
    (b'{"\\ud800": 1}', "body"),
    (b'{"<b>\\u001b[31m": 1}', "<b>\N{REPLACEMENT CHARACTER}[31m"),
    (b'{"host": "web1", "timestamp": "2999-01-01T00:00:00"}', "timestamp"),
    (b'{"host": "web1", "timestamp": "0001-01-01T00:00:00+14:00"}', "timestamp"),
    (b'{"host": "web1", "timestamp": NaN}', "timestamp"),
    (b'{"host": "web1", "level": {"$gt": ""}}', "level"),
    (b'{"host": "web1", "service": "nginx\\u0000", "message": "x"}', "service"),
    (b'{"host": "web1", "service": "nginx", "message": "\\t\\n "}', "message"),
)


def test_a_body_that_cannot_be_names_its_field_and_does_nothing(stage: Stage, port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=JSON) as client:
        for body, field in BODIES:
            answer = client.post(HEAL, content=body)
            code = "host_unknown" if field == "host" and answer.json()["error"]["code"] != "invalid" else "invalid"
            said = assert_error(answer, 422, code, field=field)
            assert len(said) < 2000, body[:40]
            assert "\x1b" not in said

    assert stage.triggered == []
    assert not [one for one in stage.store.events() if one.kind == "look.asked"]


def test_a_time_without_zone_is_utc_and_the_future_is_refused_by_that(stage: Stage, port: int) -> None:
    asked = {"host": "web1", "service": "nginx", "message": "nginx failed", "timestamp": "2026-01-31T08:00:00"}
    answer = httpx.post(f"http://127.0.0.1:{port}{HEAL}", json=asked, headers=BEARER)

    assert answer.status_code == 202
    assert [one["timestamp"].isoformat() for one in stage.triggered] == ["2026-01-31T08:00:00+00:00"]


REQUESTS: tuple[tuple[bytes, int, str], ...] = (
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "http"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "http"),
    (b"GET  /\r\n\r\n", 400, "http"),
    (b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx\x00: 1\r\n\r\n", 400, "http"),
    (line_up("POST", HEAL, content_length="3", transfer_encoding="gzip") + b"\r\n", 400, "http"),
    (line_up("POST", HEAL, content_length="-1") + b"\r\n", 400, "http"),
    (line_up("GET", "/api/v1/status", x_large="x" * 400_000) + b"\r\n", 431, "too_large"),
    (line_up("GET", "/api/v1/incidents?host=" + "x" * 400_000) + b"\r\n", 431, "too_large"),
    (line_up("GET", "/api/v1/incidents?host=" + "x" * 30_000) + b"\r\n", 422, "invalid"),
    (line_up("GET", "/api/v1/incidents?cursor=" + "A" * 399) + b"\r\n", 422, "invalid"),
    (line_up("GET", "/api/v1/incidents?limit=" + "9" * 5000) + b"\r\n", 422, "invalid"),
    (line_up("GET", "/api/v1/incidents?since=%00") + b"\r\n", 422, "invalid"),
    (line_up("GET", "/api/v1/incidents/%00%ff%ed%a0%80") + b"\r\n", 404, "not_found"),
    (line_up("GET", "/api/v1/runs/%2e%2e%2f%2e%2e/stdout") + b"\r\n", 404, "not_found"),
    (line_up("GET", "/api/" + "x" * 30_000) + b"\r\n", 404, "not_found"),
    (line_up("GET", "/static/%00") + b"\r\n", 404, "not_found"),
    (line_up("GET", "/static/" + "x" * 5000) + b"\r\n", 404, "not_found"),
    (line_up("GET", "/static/..%2f..%2fmain.py") + b"\r\n", 404, "not_found"),
    (line_up("GET", "http://evil.example/") + b"\r\n", 404, "not_found"),
    (line_up("GET", "/api/v1/status", authorization="Bearer \x80\xff") + b"\r\n", 401, "token"),
    (line_up("OPTIONS", "/api/v1/status") + b"\r\n", 405, "method"),
    (line_up("OPTIONS", "*") + b"\r\n", 404, "not_found"),
    (line_up("TRACE", "/api/v1/status", **BEARER) + b"\r\n", 405, "method"),
    (line_up("BREW", "/api/v1/status", **BEARER) + b"\r\n", 405, "method"),
    (line_up("X" * 5000, "/api/v1/status", **BEARER) + b"\r\n", 405, "method"),
    (line_up("BREW", "/api/v1/status") + b"\r\n", 401, "token"),
    (line_up("POST", HEAL, origin="http://[::1", **JSON) + b"\r\n", 403, "origin"),
)


@pytest.mark.parametrize("number", range(len(REQUESTS)), ids=lambda number: REQUESTS[number][0][:40].decode("latin-1"))
def test_a_request_that_cannot_be_is_answered_in_the_one_shape(served: int, number: int) -> None:
    asked, status, code = REQUESTS[number]
    answer = say(served, asked)

    field = answer.json()["error"].get("field")
    assert len(assert_error(answer, status, code, field=field)) < 2000
    assert is_well(served)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("served")
    store = open_store(f"sqlite:///{folder / 'healer.sqlite'}")
    store.beat("worker")
    with serving(Stage(store=store, state_dir=folder)) as port:
        yield port
    store.close()


def test_a_head_has_no_body_and_says_what_is_taken(served: int) -> None:
    answer = say(served, line_up("HEAD", "/api/v1/status") + b"\r\n", method="HEAD")

    assert (answer.status_code, answer.text, answer.headers["allow"]) == (405, "", "GET")


def test_a_host_that_is_no_name_is_refused_where_any_name_is_taken(stage: Stage) -> None:
    stage.api_host = "0.0.0.0"
    with serving(stage) as port:
        for path in ("/api/v1/status", "/nowhere"):
            asked = b"GET %b HTTP/1.1\r\nhost: [::1\r\nauthorization: Bearer %b\r\n\r\n" % (
                path.encode(),
                TOKEN.encode(),
            )
            assert_error(say(port, asked), 403, "host")


def chunked(pieces: int, size: int) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"%x\r\n%b\r\n" % (size, b"x" * size)
    yield b"0\r\n\r\n"


TEN = 10 * 1024 * 1024
LARGE = line_up("POST", HEAL, content_length=str(TEN), **JSON) + b"\r\n"
CHUNKED = line_up("POST", HEAL, transfer_encoding="chunked", **JSON) + b"\r\n"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
def test_ten_megabytes_are_refused_and_kept_nowhere(served: int, known: bool, keep: bool) -> None:
    head = LARGE if known else CHUNKED
    head = head if keep else head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    body = (b"x" * 65536 for _ in range(TEN // 65536)) if known else chunked(TEN // 65536, 65536)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        answer, then = send_all_thenread(served, head, body)
        kept = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert "Nothing was done" in assert_error(answer, 413, "too_large")
    assert kept < 4 * 1024 * 1024
    assert then == (200 if keep else 0)


def send_all_thenread(port: int, head: bytes, body: Iterator[bytes]) -> tuple[Read, int]:
    """As simple clients do; then, on the same connection, whether it is well."""
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as ours:
        ours.sendall(head)
        for piece in body:
            ours.sendall(piece)
        answer = read(ours)
        if b"connection: close" in head:
            return answer, 0
        ours.sendall(line_up("GET", "/healthz") + b"\r\n")
        return answer, read(ours).status_code


def test_a_large_body_is_refused_before_it_is_sent(served: int) -> None:
    expecting = LARGE.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    for head in (LARGE, expecting, LARGE.replace(TOKEN.encode(), b"wrong")):
        assert say(served, head).status_code in (413, 401)


def test_a_body_that_breaks_off_is_not_taken_for_whole(stage: Stage, port: int) -> None:
    whole = b'{"host": "web1", "service": "nginx", "message": "nginx failed"}'
    stage.pipeline = heals
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as ours:
        ours.sendall(CHUNKED + b"%x\r\n%b\r\n" % (len(whole), whole))
        assert is_well(port)
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as ours:
        ours.sendall(CHUNKED + b"%x\r\n%b\r\nnonsense\r\n" % (len(whole), whole))
        assert_error(read(ours), 400, "http")
    while len(called := [one for one in stage.store.events() if one.kind == "api.called"]) < 2:
        assert is_well(port)

    assert {one.data["status"] for one in called} == {400}
    assert stage.triggered == []


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOOK", 0.05)
    monkeypatch.setattr(connection, "HEADERS_SECONDS", 0.2)
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)


@pytest.mark.parametrize(
    ("begun", "status"),
    [(b"", 408), (b"GET / HT", 408), (line_up("GET", "/healthz") + b"x-a: 1\r\n", 408), (LARGE, 413), (CHUNKED, 408)],
)
def test_a_client_that_goes_on_too_slowly_is_let_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, begun: bytes, status: int
) -> None:
    hasten(monkeypatch)
    with serving(stage) as port, socket.create_connection(("127.0.0.1", port), timeout=STUCK) as ours:
        ours.sendall(begun)
        answer = read(ours)
        assert_error(answer, status, "too_large" if status == 413 else "timeout")
        # Until the other side closes; a byte now and then does not hold it.
        ours.settimeout(0.05)
        for _ in range(400):
            try:
                if ours.recv(1) == b"":
                    break
                ours.sendall(b"x")
            except TimeoutError:
                ours.sendall(b"x")
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the connection is still open")


def test_one_connection_too_many_is_told_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 1)
    with serving(stage) as port, socket.create_connection(("127.0.0.1", port), timeout=STUCK) as first:
        first.sendall(line_up("GET", "/healthz") + b"\r\n")
        assert read(first).status_code == 200
        with socket.create_connection(("127.0.0.1", port), timeout=STUCK) as second:
            assert_error(read(second), 503, "connections")


def deaf(port: int, path: str, **headers: str) -> socket.socket:
    """Asks, and reads nothing."""
    ours = socket.socket()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ours.connect(("127.0.0.1", port))
    ours.sendall(line_up("GET", path, **headers) + b"\r\n")
    return ours


def test_a_stream_that_nobody_reads_ends_and_others_go_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)
    places = threading.BoundedSemaphore(3)
    monkeypatch.setattr(stream, "_open", places)
    lines = 400
    for number in range(lines):
        stage.store.append("test.line", text=f"{number} {'x' * 30_000}")
    asked: list[int] = []
    begun, events = threading.Event(), stage.store.events

    def counted(*, after: int = 0, limit: int = 500) -> Any:
        asked.append(len(found := events(after=after, limit=limit)))
        begun.set()
        return found

    monkeypatch.setattr(stage.store, "events", counted)
    with serving(stage) as port, deaf(port, f"{STREAM}?after=0"):
        assert begun.wait(STUCK)
        for _ in range(3):
            assert places.acquire(timeout=STUCK), "its place was not given back"
        seen = sum(asked)
        for _ in range(3):
            places.release()
        with httpx.stream("GET", f"http://127.0.0.1:{port}{STREAM}?after={lines - 2}", timeout=STUCK) as other:
            assert ids(other, 2) == [lines - 1, lines]

    assert 0 < seen < lines


def ids(answer: httpx.Response, count: int) -> list[int]:
    said = (line for line in answer.iter_lines() if line.startswith("id: "))
    return [int(next(said)[4:]) for _ in range(count)]


def test_an_answer_that_nobody_reads_is_thrown_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 1)
    for number in range(500):
        stage.store.append("test.line", text=f"{number} {'x' * 30_000}")
    with serving(stage) as port, deaf(port, "/api/v1/audit?limit=500"):
        # Another one is answered once that one was let go.
        assert any(is_well(port) for _ in range(1000))


@pytest.mark.parametrize(("last", "begins"), [("0", 1), ("1", 2), ("999999999999999", 4)])
def test_a_stream_goes_on_after_an_ancient_line_and_after_one_that_never_was(
    stage: Stage, last: str, begins: int
) -> None:
    for number in range(3):
        stage.store.append("test.line", text=str(number))
    with (
        serving(stage) as port,
        httpx.stream("GET", f"http://127.0.0.1:{port}{STREAM}", headers={"last-event-id": last}) as answer,
    ):
        stage.store.append("test.line", text="3")
        assert ids(answer, 1) == [begins]


@pytest.mark.parametrize("last", ["-1", "x", "1e3", "9" * 16, "1\u0661"])
def test_a_stream_from_no_line_is_refused(served: int, last: str) -> None:
    asked = b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\nlast-event-id: %b\r\n\r\n" % (STREAM.encode(), last.encode())
    assert_error(say(served, asked), 422, "invalid", field="Last-Event-ID")


EVIL = "<script>alert(1)</script>\x1b[31m\x07\u202e\x00{{7*7}}"


def test_what_a_host_wrote_is_text_wherever_it_is_shown(stage: Stage, port: int) -> None:
    incident = stage.open(unit="<b>.service", message=EVIL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BEARER) as client:
        paths = [f"/api/v1/incidents/{incident}", "/api/v1/incidents", "/api/v1/audit", "/api/incidents"]
        answers = [client.get(path) for path in (*paths, "/api/system-logs/recent", "/api/auto-healer/history")]
        page = client.get(f"/incidents/{incident}", headers={"accept": "text/html"})
        lost = client.get("/<script>alert(1)</script>", headers={"accept": "text/html"})
        ids_of = client.get("/metrics").text

    for answer in answers:
        # JSON that no browser reads as anything else; a control character is an escape in it.
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not {"\x1b", "\x07", "\x00"} & set(answer.text)
    for shown in (page, lost):
        assert "<script>alert" not in shown.text
        assert not {"\x1b", "\x07", "\x00", "\u202e"} & set(shown.text)
        assert ">49<" not in shown.text
    assert lost.status_code == 404
    assert "script" not in ids_of


def test_alerts_of_odd_words_are_refused_each_for_itself(stage: Stage, port: int) -> None:
    odd = ("\ud800", "web1\x00", "<b>", "[::1", "web1:9100:9100", "x" * 5000)
    alerts = [{"status": "firing", "labels": {"instance": one, "unit": one}, "startsAt": "+"} for one in odd]
    body = json.dumps({"version": "4", "alerts": alerts})
    answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/hooks/alertmanager", content=body, headers=JSON)

    assert answer.status_code == 202
    taken = answer.json()["items"]
    assert [bool(one["refused"]) for one in taken] == [True] * len(odd)
    assert "\x00" not in answer.text
    assert max(len(one["host"]) + len(one["refused"]) for one in taken) < 1000
    assert stage.triggered == []
