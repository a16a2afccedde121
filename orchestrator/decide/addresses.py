"""Stand-ins for private addresses, for one question: the same address is the same stand-in throughout.

Known forms: IPv4 in dots, or in dashes as in `ip-10-0-0-5`; IPv6. Private is whatever the internet does not route,
but for loopback and the unspecified address, which say nothing of a network.
"""

from __future__ import annotations

import ipaddress
import re

_STAND_IN = "private-address-"
_FOUND = re.compile(
    # Bounded, so that a hostile line costs no time.
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)"
    r"|(?<!\d)(?<!\d-)(?:\d{1,3}-){3}\d{1,3}(?![\d-])"
    r"|(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4})(?![\w:])",
    re.IGNORECASE | re.ASCII,
)
_GIVEN = re.compile(rf"{_STAND_IN}\d{{1,6}}(?!\d)")


class StandIns:
    """Numbers addresses in the order in which it meets them; knows the way back."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._real: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """The text with a stand-in for each private address."""
        return _FOUND.sub(lambda found: self._stand_in(found[0]), text)

    def restore(self, text: str) -> str:
        """The text with the addresses, as they were written, instead of the stand-ins that we gave."""
        return _GIVEN.sub(lambda found: self._real.get(found[0], found[0]), text)

    def _stand_in(self, written: str) -> str:
        if not _is_private(written):
            return written
        if written not in self._given:
            name = f"{_STAND_IN}{len(self._given) + 1}"
            self._given[written], self._real[name] = name, written
        return self._given[written]


def _is_private(written: str) -> bool:
    dotted = written if ":" in written else written.replace("-", ".")
    try:
        address = ipaddress.ip_address(dotted)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return not (plain.is_global or plain.is_loopback or plain.is_unspecified)
