"""`healer serve`: collect, heal and answer HTTP, in one process."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

import typer

from orchestrator import app as wiring
from orchestrator.cli import output
from orchestrator.cli.systemd import Supervisor
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from api.serve import Server
    from orchestrator.worker import Worker


def serve(context: typer.Context) -> None:
    """Follow every host of the inventory and heal what policy allows.

    Ctrl-C or SIGTERM: begin nothing new, let running healings finish (drain_seconds at most), end. Once more: end now;
    a playbook that runs goes on under its own process, and the next start takes the healing up.
    """
    settings = wiring.settings(context.obj)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("healing").setLevel(logging.INFO)
    asked, hurry = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: (hurry if asked.is_set() else asked).set())
    systemd = Supervisor(settings.notify_socket)
    wiring.require_access(settings)
    worker = wiring.worker(settings)
    server = http(settings, worker)
    try:
        worker.start()
        server.start()
        scheme = "https" if settings.tls_files else "http"
        address = settings.api_url or f"{scheme}://{settings.api_host}:{settings.api_port}"
        hosts = wiring.counted(len(worker.hosts), "host")
        output.say(f"healer serve: {hosts}, chooser {worker.chooser}, {address}")
        systemd.tell("READY=1", f"STATUS=follows {hosts}")
        while not asked.wait(settings.watchdog_seconds / 3 or None):
            if worker.alive:
                systemd.tell("WATCHDOG=1")
        systemd.tell("STOPPING=1", "STATUS=finishes what runs")
        drain(worker, settings.drain_seconds, hurry)
    finally:
        server.stop()
        worker.stop()
        output.say("healer serve: ended.")


def drain(worker: Worker, seconds: float, hurry: threading.Event) -> None:
    """Let what runs finish, and say what did not."""
    output.say(f"healer serve: ends; running healings may finish within {seconds:g} s. Once more to end now.")
    left = worker.drain(seconds, hurry)
    if left:
        output.say(f"healer serve: interrupted, and to be gone on with at the next start: {', '.join(left)}")


def http(loaded: Settings, running: Worker) -> Server:
    """The API over a worker; nothing listens yet. Raises ConfigError where the token file is missing."""
    # FastAPI and uvicorn cost half a second: no other command pays for them.
    from api.main import create_app
    from api.serve import Server
    from api.state import ApiState
    from orchestrator.outbreak_answer import answer_outbreak

    store = wiring.open_record(loaded)
    state = ApiState(
        store=store,
        fleet=running.fleet,
        settings=loaded,
        token=wiring.token(loaded),
        webhook_secret=wiring.webhook_secret(loaded),
        cancel=lambda: wiring.cancel_runs(loaded),
        trigger=running.trigger,
        look=running.ask_look,
        reading=running.states,
        gauges=running.gauges,
        actions=running.actions,
        answer=running.desk.answer,
        answer_outbreak=lambda *given: answer_outbreak(running.desk, *given),
    )
    return Server(create_app(state), loaded.api_host, loaded.api_port, tls=loaded.tls_files, proxies=loaded.api_proxies)
