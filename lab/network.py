"""A lab's own network: a bridge on the controller and one cable a host, with static addresses.

No NAT, no DNS, no default route, no sysctl: hosts reach each other and the controller, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from pathlib import Path

from lab.errors import LabError
from lab.machine import as_root

#: Where a /24 is picked: the range set aside for bench networks (RFC 2544) first, as nobody routes it.
POOLS = (IPv4Network("198.18.0.0/15"), IPv4Network("10.213.0.0/16"), IPv4Network("172.29.0.0/16"))
#: A host's number is added to this, which leaves the first addresses to the controller.
_FIRST_HOST = 10
MOST_HOSTS = 200


def pick_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first /24 of the pools that overlaps nothing taken. Raises LabError if there is none."""
    busy = [network for network in taken if network.prefixlen > 0]
    for candidate in chain.from_iterable(pool.subnets(new_prefix=24) for pool in POOLS):
        if not any(candidate.overlaps(network) for network in busy):
            return candidate
    raise LabError("No free /24 network is left for a lab: `ip route` on this machine covers all that it tries.")


def host_address(subnet: IPv4Network, number: int) -> IPv4Address:
    """The address of host `number`, counted from 1."""
    return subnet[_FIRST_HOST + number]


def networks_in(answer: str) -> list[IPv4Network]:
    """The destinations in what `ip -json route show table all` answered."""
    found = []
    for row in json.loads(answer or "[]"):
        destination = row.get("dst", "default")
        if destination != "default" and ":" not in destination:
            found.append(IPv4Network(destination, strict=False))
    return found


class Network:
    """The bridge of one lab."""

    def __init__(self, lab: str) -> None:
        # Names of interfaces are at most 15 characters long.
        self.bridge = f"hl{hashlib.sha256(lab.encode()).hexdigest()[:8]}"

    def prepare(self, wanted: IPv4Network | None) -> IPv4Network:
        """Make the bridge or repair it; returns its subnet, which is `wanted` unless others have taken that."""
        routes = json.loads(as_root(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]")
        others = networks_in(json.dumps([row for row in routes if row.get("dev") != self.bridge]))
        free = wanted is not None and not any(wanted.overlaps(one) for one in others if one.prefixlen > 0)
        subnet = wanted if wanted is not None and free else pick_subnet(others)
        if not self._link(self.bridge):
            # An address of its own, or the bridge would change it with every cable and hosts would lose it.
            mac = "02:" + ":".join(self.bridge[start : start + 2] for start in (2, 4, 6, 8)) + ":01"
            as_root(["ip", "link", "add", "name", self.bridge, "address", mac, "type", "bridge"])
            as_root(["ip", "link", "set", self.bridge, "addrgenmode", "none"])
        as_root(["ip", "address", "flush", "dev", self.bridge])
        as_root(["ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", self.bridge])
        as_root(["ip", "link", "set", self.bridge, "up"])
        return subnet

    def plug(self, number: int, pid: int, subnet: IPv4Network) -> None:
        """Give host `number`, whose first process is `pid`, its cable and address; repairs what is there."""
        cable = f"{self.bridge}.{number}"
        if not self._link(cable):
            peer = ["peer", "name", "eth0", "netns", str(pid)]
            as_root(["ip", "link", "add", "name", cable, "type", "veth", *peer])
            as_root(["ip", "link", "set", cable, "addrgenmode", "none"])
        as_root(["ip", "link", "set", cable, "master", self.bridge, "up"])
        inside = f"address replace {host_address(subnet, number)}/{subnet.prefixlen} dev eth0\nlink set eth0 up\n"
        as_root(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], stdin=inside)

    def remove(self) -> None:
        """Take the bridge away, and cables whose hosts are gone."""
        for entry in sorted(Path("/sys/class/net").iterdir(), reverse=True):
            if entry.name == self.bridge or entry.name.startswith(f"{self.bridge}."):
                # A cable vanishes by itself when its host's namespace does, maybe right now.
                as_root(["ip", "link", "delete", entry.name], check=False)
        if self._link(self.bridge):
            raise LabError(f"The network {self.bridge} can't be removed: ip link delete {self.bridge}")

    @staticmethod
    def _link(name: str) -> bool:
        return Path("/sys/class/net", name).exists()
