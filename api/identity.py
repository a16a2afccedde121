"""Who asks: known by a bearer token, or nobody in particular on the loopback address."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_network

from orchestrator import access
from orchestrator.domain.access import Identity, Role
from orchestrator.domain.hosts import Secret
from orchestrator.ports import ApiStore

#: Wrong keys from one address within WINDOW seconds after which it has to wait.
WRONG_MAX, WINDOW = 10, 300.0
#: Addresses that are remembered; whoever has more of them than that is not held back by this.
ADDRESSES = 10_000
#: The actor of the token file of state_dir, which every installation has.
OWNER = Identity(actor="api", role=Role.ADMIN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identities:
    """Tokens of the store and the one of the token file."""

    store: ApiStore
    #: Of the token file.
    key: str

    def of(self, key: str) -> Identity | None:
        """None: no good token has that key. Raises StoreUnavailable."""
        if hmac.compare_digest(key.encode(), self.key.encode()):
            return OWNER
        token = access.known(self.store, key, datetime.now(UTC))
        return Identity(actor=f"api:{token.name}", role=token.role) if token else None

    def of_session(self, value: str) -> Identity | None:
        """None: there is no such session, or it is over. Raises StoreUnavailable."""
        return access.of_session(self.store, value, self.key, datetime.now(UTC))

    def open_session(self, key: str) -> Secret | None:
        """A cookie's value for who shows a good key; None for any other. Raises StoreUnavailable."""
        now = datetime.now(UTC)
        own = hmac.compare_digest(key.encode(), self.key.encode())
        token = None if own else access.known(self.store, key, now)
        return access.open_session(self.store, key, token, now) if own or token else None

    def close_session(self, value: str) -> None:
        """Signed out."""
        access.close_session(self.store, value)


class Throttle:
    """Counts wrong keys by address, so that trying keys is slow and fills no ledger."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Address -> how many wrong keys, and when the first of them came.
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds for which nothing is taken from the address; 0: it may ask."""
        with self._lock:
            count, since = self._counted(_network(address))
        return max(0.0, since + WINDOW - self._clock()) if count >= WRONG_MAX else 0.0

    def wrong(self, address: str) -> bool:
        """Count one; whether it is the first in its window, which is worth a line of the ledger."""
        network = _network(address)
        with self._lock:
            count, since = self._counted(network)
            self._wrong[network] = (count + 1, since)
            self._wrong.move_to_end(network)
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)
        return count == 0

    def _counted(self, network: str) -> tuple[int, float]:
        count, since = self._wrong.get(network, (0, 0.0))
        now = self._clock()
        return (count, since) if count and now - since < WINDOW else (0, now)


def _network(address: str) -> str:
    """Of IPv6 the /64, all of which one customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{address}/64", strict=False)) if isinstance(parsed, IPv6Address) else address
