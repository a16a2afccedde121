"""`healer serve`: collect, heal and answer HTTP, in one process."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

import typer

from orchestrator import app as wiring
from orchestrator.cli import output
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from api.serve import Server
    from orchestrator.worker import Worker


def serve(context: typer.Context) -> None:
    """Follow every host of the inventory and heal what policy allows; Ctrl-C ends it cleanly."""
    settings = wiring.settings(context.obj)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("healing").setLevel(logging.INFO)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    worker = wiring.worker(settings)
    server = http(settings, worker)
    try:
        worker.start()
        server.start()
        hosts = wiring.counted(len(worker.hosts), "host")
        output.say(f"healer serve: {hosts}, chooser {worker.chooser}, http://{settings.api_host}:{settings.api_port}")
        ended.wait()
    finally:
        server.stop()
        worker.stop()
        output.say("healer serve: ended.")


def http(loaded: Settings, running: Worker) -> Server:
    """The API over a worker; nothing listens yet. Raises ConfigError where the token file is missing."""
    # FastAPI and uvicorn cost half a second: no other command pays for them.
    from api.main import create_app
    from api.serve import Server
    from api.state import ApiState

    store = running.store
    state = ApiState(
        store=store,
        fleet=running.fleet,
        settings=loaded,
        token=wiring.token(loaded),
        trigger=running.trigger,
        answer=lambda approval_id, answered, who, why: wiring.answer(store, approval_id, answered, who, why),
    )
    return Server(create_app(state), loaded.api_host, loaded.api_port)
