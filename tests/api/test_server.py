"""The real server: listens, answers, stops, and says why it can't."""

from __future__ import annotations

import socket
import threading

import httpx
import pytest

from api.main import create_app
from api.serve import Server
from orchestrator.errors import ConfigError
from tests.api.conftest import Stage


def test_it_listens_answers_and_gives_the_port_back(stage: Stage) -> None:
    server = Server(create_app(stage.state()), "127.0.0.1", 0)
    server.start()
    port = server.port
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
    finally:
        server.stop()
        server.stop()

    assert answer.json() == {"status": "success"}
    assert "server" not in answer.headers
    assert not [thread for thread in threading.enumerate() if thread.name == "api"]
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_taken_port_is_a_sentence(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*api_port"):
            Server(create_app(stage.state()), "127.0.0.1", port).start()
