"""uvicorn in a thread of `healer serve`, with a clean start and stop."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from api.connection import Connection
from orchestrator.errors import ConfigError

#: Seconds that open requests may take when it stops; a waiting POST heal goes on without its client.
GRACE = 2
#: Seconds for the server to be down.
PATIENCE = 15.0


class Server:
    """Listens from `start` to `stop`. Both may be called twice."""

    def __init__(
        self, app: FastAPI, host: str, port: int, *, tls: tuple[Path, Path] | None = None, proxies: str = ""
    ) -> None:
        """`tls`: certificate chain and key. `proxies`: addresses with commas whose X-Forwarded-* are believed."""
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        # Nothing in front of it is trusted unless it is named, and the server does not name itself.
        config = uvicorn.Config(
            app,
            http=Connection,
            log_config=None,
            access_log=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=GRACE,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="api", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on: the one that was asked for, or a free one for 0."""
        return int(self._socket.getsockname()[1]) if self._socket else self._port

    def start(self) -> None:
        """Returns once it listens. Raises ConfigError where the address can't be had."""
        if self._socket is not None:
            return
        try:
            family = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=128)
        except OSError as error:
            raise ConfigError(
                f"The API can't listen on {self._host}:{self._port}: {error.strerror}. Set api_host and api_port in "
                "healer.toml, or end what holds the port."
            ) from error
        # asyncio sets it for sockets that name their protocol alone. Without it, each answer on a connection that is
        # kept waits 40 ms for the client's kernel. Connections have it from the socket that they came by.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread.start()

    def stop(self) -> None:
        """Closes connections and gives the port back."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=PATIENCE)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket] if self._socket else None)
