"""What `healer serve` tells systemd: sd_notify(3) over its datagram socket, which needs no library."""

from __future__ import annotations

import logging
import socket

#: Seconds in which a word must be taken.
PATIENCE = 1.0

log = logging.getLogger("healing.serve")


class Supervisor:
    """The service manager that started us; none where `address` is empty."""

    def __init__(self, address: str) -> None:
        # An abstract socket is written with @ and begins with NUL.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *lines: str) -> None:
        """Such as READY=1 or STATUS=... . What can't be told is logged: it changes nothing for the hosts."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
                # Its queue may be full: whoever does not listen must not keep us from working, or from ending.
                door.settimeout(PATIENCE)
                door.connect(self._address)
                door.sendall("\n".join(lines).encode())
        except OSError as error:
            log.warning("systemd can't be told %s: %s", lines, error)
