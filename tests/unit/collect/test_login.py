"""What a host says of our session, as values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from orchestrator.collect.link import Answer, Link
from orchestrator.collect.login import Login, Offset, clock_offset, parse
from orchestrator.errors import HostUnreachable

TOLD = {
    "uid": "1000",
    "user": "healer",
    "source": "198.18.0.1",
    "unit": "session-7.scope",
    "zone": "+0130",
    "journal": "yes",
    "journalctl": "/usr/bin/journalctl",
    "features": "systemd 252 (252.39-1) +PAM +PCRE2 -PWQUALITY",
    "python": "/usr/bin/python3",
}


def told(*, become: bool = False, **changes: str) -> Login:
    words = "".join(f"{key}={value}\n" for key, value in (TOLD | changes).items())
    return parse(f"Welcome!\na=b=c\n{words}", become=become, host="web1")


def test_an_answer_becomes_a_login() -> None:
    assert told() == Login(
        uid=1000,
        user="healer",
        source="198.18.0.1",
        unit="session-7.scope",
        zone_minutes=90,
        journal=True,
        python="/usr/bin/python3",
    )


@pytest.mark.parametrize(("zone", "minutes"), [("+0000", 0), ("-0330", -210), ("+1400", 840)])
def test_the_zone_is_in_minutes(zone: str, minutes: int) -> None:
    assert told(zone=zone).zone_minutes == minutes


@pytest.mark.parametrize(
    ("become", "sudo", "expected", "words"),
    [
        (False, "yes", None, ""),
        (True, "yes", True, ""),
        (True, "sudo: a password is required", False, "sudo: a password is required"),
        (True, "say yes", False, "say yes"),
        (True, "", False, ""),
    ],
)
def test_sudo_counts_only_where_it_is_asked_for(become: bool, sudo: str, expected: bool | None, words: str) -> None:
    login = told(become=become, sudo=sudo)

    assert (login.sudo, login.sudo_words) == (expected, words)


@pytest.mark.parametrize(
    ("uid", "journal", "sudo", "itself", "through_sudo"),
    [
        ("0", "no", "no", True, False),
        ("1000", "yes", "yes", True, False),
        ("1000", "no", "yes", False, True),
        ("1000", "no", "no", False, False),
    ],
)
def test_the_journal_is_read_as_ourselves_where_that_works(
    uid: str, journal: str, sudo: str, itself: bool, through_sudo: bool
) -> None:
    login = told(become=True, uid=uid, journal=journal, sudo=sudo)

    assert (login.journal, login.journal_root) == (itself, through_sudo)


def test_root_asks_nothing_through_sudo() -> None:
    assert not told(become=True, uid="0", sudo="yes").root
    assert told(become=True, sudo="yes").root


def test_a_journalctl_that_is_missing_or_can_not_search_is_known() -> None:
    assert not told(journalctl="").journalctl
    assert not told(features="systemd 237 -PCRE2").grep
    assert not told(features="").grep


@pytest.mark.parametrize("text", ["", "This account is not available.", "uid=x\nzone=+0000", "uid=7", "uid=7\nzone=Z"])
def test_an_answer_that_is_none_names_the_way_out(text: str) -> None:
    with pytest.raises(
        HostUnreachable, match=r"web1 runs no shell scripts for us.*The login user needs a plain shell\."
    ):
        parse(text, become=False, host="web1")


class OurClock:
    """Ours as it is set, beside a steady one; a host's clock that nobody sets and that is 2 s ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, self.set_by = 0.0, 0.0
        monkeypatch.setattr("time.time", lambda: 1_000_000.0 + self.passed + self.set_by)
        monkeypatch.setattr("time.monotonic", lambda: 50.0 + self.passed)

    @property
    def host(self) -> float:
        return 1_000_002.0 + self.passed


def asked(clock: OurClock) -> Offset:
    link = SimpleNamespace(run=lambda *_, **__: Answer(code=0, out=f"{clock.host:.9f}".encode(), err=b""))
    return clock_offset(cast(Link, link))


@pytest.mark.parametrize("jump", [0.0, 600.0, -600.0], ids=["left alone", "set forward", "set back"])
def test_an_offset_holds_whatever_becomes_of_our_clock(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    clock = OurClock(monkeypatch)
    offset = asked(clock)
    clock.passed, clock.set_by = 30.0, jump

    assert offset.seconds() == pytest.approx(2.0 - jump)


def test_an_age_is_the_same_before_and_after_our_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = OurClock(monkeypatch)
    login = Login(uid=0, user="root", clock=asked(clock))
    logged = clock.host
    clock.passed, clock.set_by = 40.0, 600.0

    assert clock.set_by + 1_000_000.0 + clock.passed - (logged - login.clock_offset) == pytest.approx(40.0)
