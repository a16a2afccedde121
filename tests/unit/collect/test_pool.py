"""One living connection a host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator import settings as settings_module
from orchestrator.collect import pool as pool_module
from orchestrator.collect.link import Link
from orchestrator.collect.pool import Pool
from orchestrator.domain.hosts import Host
from orchestrator.errors import HostTimeout, HostUnreachable
from orchestrator.settings import Settings
from tests.support.scripted_link import HOST, ScriptedLink, host_with


def answers(script: str) -> bytes:
    return b"1764000000.5" if script.startswith("date") else b"uid=1000\nuser=healer\nzone=+0000\njournal=yes\n"


class Dialler:
    def __init__(self) -> None:
        self.made: list[ScriptedLink] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, host: Host, settings: Settings) -> Link:
        self.made.append(ScriptedLink(host, answers=answers))
        self.meanwhile()
        return self.made[-1]


@pytest.fixture
def dialler() -> Dialler:
    return Dialler()


@pytest.fixture
def pool(dialler: Dialler) -> Pool:
    return Pool(settings_module.load(None, {}), dialler)


def test_a_living_connection_is_shared(pool: Pool, dialler: Dialler) -> None:
    assert pool.get(HOST) is pool.get(replace(HOST))
    assert len(dialler.made) == 1


def test_a_dead_one_is_made_anew(pool: Pool, dialler: Dialler) -> None:
    first = pool.get(HOST)
    dialler.made[0].alive = False

    assert pool.get(HOST) is not first


@pytest.mark.parametrize(
    "changed",
    [replace(HOST, connection=replace(HOST.connection, user="other")), host_with("/var/log/a.log")],
    ids=["connection", "log files"],
)
def test_one_that_was_made_for_other_variables_is_ended_and_made_anew(
    pool: Pool, dialler: Dialler, changed: Host
) -> None:
    pool.get(HOST)

    assert pool.get(changed) is dialler.made[1]
    assert not dialler.made[0].alive


def test_a_connection_that_fails_is_tried_again_next_time(pool: Pool, dialler: Dialler) -> None:
    def fail() -> None:
        raise HostUnreachable("web1 is down")

    dialler.meanwhile = fail
    with pytest.raises(HostUnreachable):
        pool.get(HOST)
    dialler.meanwhile = lambda: None

    assert pool.get(HOST) is dialler.made[1]


def test_who_waited_for_an_attempt_that_failed_is_told_so_at_once(
    pool: Pool, dialler: Dialler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that hangs takes ten seconds to say nothing, and several ask at once."""
    asking, told = threading.Event(), list[str]()

    def ask() -> None:
        with pytest.raises(HostTimeout) as caught:
            pool.get(HOST)
        told.append(str(caught.value))

    second = threading.Thread(target=ask)

    def clock() -> float:
        if threading.current_thread() is second:
            asking.set()
        return time.monotonic()

    def hang() -> None:
        second.start()
        assert asking.wait(10)
        raise HostTimeout("web1 hangs")

    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=clock))
    dialler.meanwhile = hang
    ask()
    second.join(10)

    assert told == ["web1 hangs"] * 2
    assert len(dialler.made) == 1


def test_what_was_learned_counts_for_its_connection_alone_unless_asked_afresh(pool: Pool, dialler: Dialler) -> None:
    link, login = pool.ask(HOST)
    assert pool.ask(HOST) == (link, login)
    assert len(dialler.made[0].scripts) == 2

    pool.ask(HOST, fresh=True)
    assert len(dialler.made[0].scripts) == 4
    dialler.made[0].alive = False
    pool.ask(HOST)

    assert len(dialler.made[1].scripts) == 2
    assert login.user == "healer"


def test_a_closed_pool_ends_its_connections_and_makes_none(pool: Pool, dialler: Dialler) -> None:
    pool.get(HOST)

    pool.close()

    assert not dialler.made[0].alive
    with pytest.raises(HostUnreachable, match="web1: healing-bot is shutting down"):
        pool.get(HOST)


def test_a_connection_that_is_made_while_the_pool_closes_does_not_stay(pool: Pool, dialler: Dialler) -> None:
    dialler.meanwhile = pool.close

    pool.get(HOST)

    assert not dialler.made[0].alive
