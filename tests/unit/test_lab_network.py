"""Addresses of labs: picked so that they meet nobody."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from lab.errors import LabError
from lab.network import MOST_HOSTS, POOLS, Network, host_address, networks_in, pick_subnet

FIRST = IPv4Network("198.18.0.0/24")


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "198.18.0.0/24"),
        (["198.18.0.0/24"], "198.18.1.0/24"),
        (["198.18.0.7/32"], "198.18.1.0/24"),
        (["198.18.0.0/16"], "198.19.0.0/24"),
        (["198.18.0.0/15"], "10.213.0.0/24"),
        (["198.18.0.0/15", "10.0.0.0/8"], "172.29.0.0/24"),
        (["0.0.0.0/0"], "198.18.0.0/24"),
    ],
)
def test_the_first_free_network_is_picked(taken: list[str], expected: str) -> None:
    assert pick_subnet(map(IPv4Network, taken)) == IPv4Network(expected)


def test_no_free_network_is_an_error() -> None:
    with pytest.raises(LabError, match="No free /24"):
        pick_subnet(POOLS)


def test_every_host_has_an_address_of_its_own_within_the_network() -> None:
    addresses = [host_address(FIRST, number) for number in range(1, MOST_HOSTS + 1)]

    assert len(set(addresses)) == MOST_HOSTS
    assert all(address in FIRST for address in addresses)
    assert FIRST[1] not in addresses
    assert FIRST.broadcast_address not in addresses


def test_routes_are_read_as_ip_writes_them() -> None:
    answer = '[{"dst":"default"},{"dst":"10.1.0.0/16"},{"type":"local","dst":"10.1.2.3"},{"dst":"fe80::/64"}]'

    assert networks_in(answer) == [IPv4Network("10.1.0.0/16"), IPv4Network("10.1.2.3/32")]
    assert networks_in("") == []


def test_names_of_interfaces_fit_and_differ() -> None:
    one, two = Network("a" * 40).bridge, Network("a" * 39).bridge

    assert one != two
    assert len(f"{one}.{MOST_HOSTS}") <= 15
