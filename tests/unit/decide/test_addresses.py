"""Private addresses have stand-ins, the same ones throughout, and the way back is exact."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.addresses import StandIns


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("connect to 10.0.0.5:5432 failed", "connect to private-address-1:5432 failed"),
        ("10.0.0.5, 192.168.1.1 and 10.0.0.5.", "private-address-1, private-address-2 and private-address-1."),
        ("from 172.16.3.4/12", "from private-address-1/12"),
        ("host ip-10-0-0-5.internal", "host ip-private-address-1.internal"),
        ("169.254.169.254 and 100.64.0.1", "private-address-1 and private-address-2"),
        ("[fd00::5]:443 and fe80::1%eth0", "[private-address-1]:443 and private-address-2%eth0"),
        ("::ffff:10.0.0.5 is mapped", "private-address-1 is mapped"),
        ("openvpn@10.0.0.5.service", "openvpn@private-address-1.service"),
        # What the whole internet knows, what says nothing of a network, and what is no address.
        ("8.8.8.8 and 2001:4860:4860::8888", "8.8.8.8 and 2001:4860:4860::8888"),
        ("127.0.0.1:80, ::1, 0.0.0.0 and ::", "127.0.0.1:80, ::1, 0.0.0.0 and ::"),
        ("version 10.0.0.5.7, 10.0.0, 999.10.0.1", "version 10.0.0.5.7, 10.0.0, 999.10.0.1"),
        ("12:34:56 std::vector at 2026-01-31T08:00:00", "12:34:56 std::vector at 2026-01-31T08:00:00"),
        ("private-address-1 and 10.0.0.5", "private-address-1 and private-address-1"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    assert StandIns().hide(text) == shown


def test_the_way_back_knows_only_what_was_given() -> None:
    stand_ins = StandIns()
    stand_ins.hide("10.0.0.5 fd00::5")

    assert stand_ins.restore("private-address-2 refuses private-address-1") == "fd00::5 refuses 10.0.0.5"
    assert stand_ins.restore("private-address-3, private-address-12") == "private-address-3, private-address-12"


PRIVATE = st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "fe80::/64"]).flatmap(
    lambda net: st.integers(0, ipaddress.ip_network(net).num_addresses - 1).map(
        lambda n: str(ipaddress.ip_network(net)[n])
    )
)


@given(st.lists(st.tuples(st.sampled_from(["", "to ", "at [", "="]), PRIVATE, st.sampled_from([" ", "]", ", "]))))
def test_no_private_address_is_left_and_all_come_back(parts: list[tuple[str, str, str]]) -> None:
    text = "".join("".join(part) for part in parts)
    stand_ins = StandIns()

    shown = stand_ins.hide(text)

    for _, address, _ in parts:
        assert address not in shown
    assert stand_ins.restore(shown) == text


@given(st.text(alphabet="0123456789abcdef:.-% ", max_size=300))
def test_any_text_is_taken(text: str) -> None:
    stand_ins = StandIns()

    assert stand_ins.restore(stand_ins.hide(text)) == text
