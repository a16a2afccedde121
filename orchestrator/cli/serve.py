"""`healer serve`: collect, heal and answer HTTP, in one process."""

from __future__ import annotations

import logging
import signal
import threading

import typer

from orchestrator import app as wiring
from orchestrator.cli import output


def serve(context: typer.Context) -> None:
    """Follow every host of the inventory and heal what policy allows; Ctrl-C ends it cleanly."""
    settings = wiring.settings(context.obj)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("healing").setLevel(logging.INFO)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    worker = wiring.worker(settings)
    server = wiring.http(settings, worker)
    try:
        worker.start()
        server.start()
        hosts = len(worker.hosts)
        output.say(
            f"healer serve: {hosts} hosts, chooser {worker.chooser}, http://{settings.api_host}:{settings.api_port}"
        )
        ended.wait()
    finally:
        server.stop()
        worker.stop()
        output.say("healer serve: ended.")
