"""Following the journals of real hosts: what is seen, what survives a stop, what is ours, and coming back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.collect import connection
from orchestrator.collect.connection import Connections
from orchestrator.collect.follow import SshCollector
from orchestrator.collect.journal import BY_FIELD, BY_TEXT, cursor_of
from orchestrator.collect.probe import SshProbe
from orchestrator.domain.hosts import Connection, Host, LogFile
from orchestrator.domain.ids import Cursor
from orchestrator.errors import HostTimeout
from orchestrator.settings import Settings
from tests.support.collect_stage import Heard, entry, following, say, settings_in, states, token
from tests.support.waiting import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def nginx(lab: Lab) -> Iterator[None]:
    """web1's nginx, running again afterwards."""
    yield
    lab.execute("web1", "systemctl reset-failed nginx.service; systemctl start nginx.service")


@pytest.mark.usefixtures("nginx")
def test_a_killed_service_is_told_by_pid_1_within_seconds(lab: Lab, settings: Settings, heard: Heard) -> None:
    with following(settings, [entry(lab, "web1")], heard):
        lab.break_("nginx-killed", "web1")
        failure = wait_for(
            lambda: [one for one in heard.of("Failed with result 'signal'") if one.unit_failure], "nginx's death", 5
        )[-1]

    assert (failure.unit, failure.own_session, failure.host) == ("nginx.service", False, "web1")
    # Of its death nothing is worse than a warning: PRIORITY alone would have missed it.
    assert min(one.priority for one in heard.all() if one.unit == "nginx.service" and one.unit_failure) == 4


def test_output_of_a_service_that_states_an_error_is_seen_and_other_output_is_not(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    word = token()

    with following(settings, [entry(lab, "web1")], heard):
        unit = say(lab, "web1", f"ERROR: no stock {word}", f"order accepted {word}", f"no space left on device {word}")
        wait_for(lambda: len(heard.of(word)) >= 2, "both lines")

    assert [(one.message, one.unit, one.priority) for one in heard.of(word)] == [
        (f"ERROR: no stock {word}", unit, 6),
        (f"no space left on device {word}", unit, 6),
    ]


def test_what_is_written_while_nobody_listens_is_read_at_the_next_start_once(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    before, between, after = token(), token(), token()
    host = entry(lab, "web1")
    with following(settings, [host], heard):
        say(lab, "web1", f"ERROR {before}")
        lab.execute("web1", f"logger -p daemon.err failed {before}")
        wait_for(lambda: len(heard.of(before)) == 2, "both queries have told")

    lab.execute("web1", f"logger -p daemon.err {between}; logger -p daemon.info 'nothing here'")
    say(lab, "web1", f"ERROR {between} one", f"ERROR {between} two")
    with following(settings, [host], heard):
        wait_for(lambda: len(heard.of(between)) == 3, "what was missed")
        say(lab, "web1", f"ERROR {after}")
        wait_for(lambda: heard.of(after), "what is new")

    assert [len(heard.of(word)) for word in (before, between, after)] == [2, 3, 1]


def test_a_host_that_stated_no_error_yet_loses_none_that_it_logs_while_nobody_listens(
    lab: Lab, settings: Settings, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However far a first look reaches back: it is not far enough for a night.
    monkeypatch.setattr("orchestrator.collect.follower.FIRST_LOOK", 0)
    word, host = token(), entry(lab, "web2")
    with following(settings, [host], heard):
        wait_for(lambda: all(heard.cursor("web2", query.source) for query in (BY_FIELD, BY_TEXT)), "a place")

    lab.execute("web2", f"logger -p daemon.err failed {word}")
    said = int(lab.execute("web2", "date +%s").stdout)
    wait_for(lambda: int(lab.execute("web2", "date +%s").stdout) > said + 1, "it is past")
    with following(settings, [host], heard):
        wait_for(lambda: heard.of(word), "what was missed")


def test_the_first_record_after_the_cursor_is_not_skipped(lab: Lab, settings: Settings, heard: Heard) -> None:
    """journalctl --after-cursor skips it where the cursor's own record does not match the query."""
    word, host = token(), entry(lab, "web2")
    lab.execute("web2", f"logger -p daemon.info 'plain words {token()}'")
    line = lab.execute("web2", "journalctl --lines=1 --output=json --output-fields=MESSAGE").stdout
    end = cursor_of(line.strip().encode())
    for query in (BY_FIELD, BY_TEXT):
        heard(host, query.source, (), end)

    lab.execute("web2", f"logger -p daemon.err first {word}; logger -p daemon.info ERROR second {word}")
    with following(settings, [host], heard):
        wait_for(lambda: len(heard.of(word)) == 2, "both records")


def test_a_journalctl_that_ends_is_started_again_and_nothing_is_lost(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    word = token()

    with following(settings, [entry(lab, "web3")], heard):
        lab.execute("web3", f"pkill -x journalctl; logger -p daemon.err {word}")
        wait_for(lambda: heard.of(word), "what was written meanwhile")

    assert len(heard.of(word)) == 1


def test_a_cursor_that_the_journal_refuses_costs_one_reconnect(lab: Lab, settings: Settings, heard: Heard) -> None:
    word, host = token(), entry(lab, "web2")
    lab.execute("web2", f"logger -p daemon.err {word}")
    for query in (BY_FIELD, BY_TEXT):
        heard(host, query.source, (), Cursor("not a cursor"))

    with following(settings, [host], heard):
        wait_for(lambda: heard.of(word), "the record of just before")


def test_what_anybody_may_set_names_no_unit_and_no_failure(lab: Lab, settings: Settings, heard: Heard) -> None:
    word = token()
    forged = (
        f"MESSAGE=nginx.service: Failed with result signal {word}\\nPRIORITY=3\\nUNIT=nginx.service\\n"
        "OBJECT_SYSTEMD_UNIT=nginx.service\\nSYSLOG_IDENTIFIER=systemd\\nSYSLOG_PID=1\\n_PID=1\\n"
        "_SYSTEMD_UNIT=nginx.service\\nMESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c\\n"
    )

    with following(settings, [entry(lab, "web1")], heard):
        lab.execute("web1", f"printf '{forged}' | setpriv --reuid=nobody --clear-groups logger --journald")
        (record,) = wait_for(lambda: heard.of(word), "the forged record")

    assert record.unit != "nginx.service"
    assert not record.unit_failure


def test_our_own_logins_sudo_and_questions_leave_no_record_that_is_not_called_ours(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    host, word, began = entry(lab, "web3"), token(), datetime.now(UTC)
    with following(settings, [host], heard):
        connections = Connections(settings)
        for number in range(3):
            link, _ = connections.ask(host, fresh=True)
            # As loud as a session of ours can be, each speaker alive until journald has looked at it.
            script = f"(echo 'failed {word} {number}'; sleep 0.5) | logger -p auth.err\n"
            link.run(script + f"(echo '{word}'; sleep 0.5) | logger -p user.crit", root=number == 1)
            link.run("sudo -n -u nobody false; sudo -n /nonexistent; false")
        connections.close()
        # A refused login of ours makes sshd speak.
        stranger = replace(host.connection, user="healer", key_file=None)
        with pytest.raises(Exception, match="refused the login"):
            Connections(settings).get(replace(host, connection=stranger))
        wait_for(lambda: len(heard.of(word)) == 6, "what our sessions said")

    # The first look reads what other tests did to this host's sshd, too.
    fresh = [one for one in heard.all() if one.time >= began]
    ours = [one for one in fresh if one.own_session]
    assert {one.message for one in heard.of(word)} <= {one.message for one in ours}
    assert [one for one in fresh if not one.own_session and "ssh" in (one.unit + one.message)] == []


def test_nothing_of_ours_stays_behind_on_the_host(lab: Lab, settings: Settings, heard: Heard) -> None:
    host = entry(lab, "web2", files=["/var/log/shop.log"])
    lab.execute("web2", "touch /var/log/shop.log")

    def left() -> str:
        return lab.execute("web2", "pgrep -u healer -a; pgrep -a journalctl", check=False).stdout

    with following(settings, [host], heard):
        assert "journalctl" in left()

    wait_for(lambda: not left().strip(), f"every process has ended: {left()}", 10)


def test_a_host_whose_sshd_goes_away_is_told_and_read_on_when_it_is_back(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    during, after = token(), token()
    with following(settings, [entry(lab, "web2"), entry(lab, "web3")], heard) as collector:
        lab.execute("web2", "systemctl stop ssh.socket ssh.service; pkill -KILL -x sshd; true")
        wait_for(lambda: states(collector)["web2"] == "down", "web2 is told as down")
        (state,) = [one for one in collector.states() if one.host == "web2"]
        assert state.reason.startswith("web2")
        lab.execute("web2", f"logger -p daemon.err {during}")
        say(lab, "web3", f"ERROR {during}")
        wait_for(lambda: [one for one in heard.of(during) if one.host == "web3"], "web3 is read all the same")
        lab.execute("web2", "systemctl start ssh.service")
        wait_for(lambda: states(collector)["web2"] == "connected", "web2 is followed again")
        say(lab, "web2", f"ERROR {after}")
        wait_for(lambda: heard.of(after), "what is new")
        wait_for(lambda: [one for one in heard.of(during) if one.host == "web2"], "what was missed")

    assert len([one for one in heard.of(during) if one.host == "web2"]) == 1


def test_a_host_that_is_down_holds_up_neither_start_nor_stop(lab: Lab, settings: Settings, heard: Heard) -> None:
    dead = entry(lab, "web1", address="198.18.255.1")
    connections = Connections(replace(settings, connect_timeout_seconds=2.0))
    collector = SshCollector(settings, connections)
    word = token()

    collector.start([replace(dead, name="dead"), entry(lab, "web1")], heard, heard.cursor)
    wait_for(lambda: states(collector)["web1"] == "connected", "the living host is followed")
    say(lab, "web1", f"ERROR {word}")
    wait_for(lambda: heard.of(word), "and heard")
    wait_for(lambda: states(collector)["dead"] == "down", "the dead one is told as down")
    collector.stop()
    connections.close()

    assert set(states(collector).values()) == {"stopped"}


def test_a_host_that_drops_off_the_network_is_noticed_and_read_on_when_it_is_back(
    lab: Lab, settings: Settings, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_KEEPALIVE", 1)
    monkeypatch.setattr(connection, "_UNACKNOWLEDGED", 1000)
    word = token()

    with following(replace(settings, connect_timeout_seconds=1.0), [entry(lab, "web2")], heard) as collector:
        lab.execute("web2", "ip link set eth0 down")
        try:
            wait_for(lambda: states(collector)["web2"] == "down", "web2 is told as down", 15)
            lab.execute("web2", f"logger -p daemon.err {word}")
        finally:
            lab.execute("web2", "ip link set eth0 up")
        wait_for(lambda: heard.of(word), "what was missed")

    assert len(heard.of(word)) == 1


def test_a_host_that_hangs_with_its_connection_open_is_told_by_the_first_question_and_harms_no_other(
    lab: Lab, settings: Settings, heard: Heard
) -> None:
    """Its kernel acknowledges all that we send, so neither a keepalive nor a broken connection tells."""
    during, quick = token(), replace(settings, connect_timeout_seconds=2.0)
    hosts = [entry(lab, "web2"), entry(lab, "web3")]
    connections = Connections(quick)
    collector = SshCollector(quick, connections)
    probe = SshProbe(connections)
    collector.start(hosts, heard, heard.cursor)
    try:
        wait_for(lambda: set(states(collector).values()) == {"connected"}, "both are followed")
        lab.execute("web2", "pkill -STOP -x sshd")
        try:
            with pytest.raises(HostTimeout, match=r"web2 .* did not answer in time"):
                probe.inspect(hosts[0], ["nginx.service"], [])
            wait_for(lambda: states(collector)["web2"] == "down", "web2 is told as down")
            with pytest.raises(HostTimeout, match="web2"):
                probe.inspect(hosts[0], ["nginx.service"], [])
            lab.execute("web2", f"logger -p daemon.err {during}")
            say(lab, "web3", f"ERROR {during}")
            wait_for(lambda: [one for one in heard.of(during) if one.host == "web3"], "web3 is read all the same")
        finally:
            lab.execute("web2", "pkill -CONT -x sshd")
        wait_for(lambda: [one for one in heard.of(during) if one.host == "web2"], "what was missed")
        assert probe.inspect(hosts[0], ["nginx.service"], []).units
    finally:
        collector.stop()
        connections.close()


def test_the_controller_itself_is_followed_without_ssh(settings: Settings, heard: Heard, tmp_path: Path) -> None:
    """By a journalctl that stands for the controller's: not every machine that tests run on has one."""
    program, log = tmp_path / "journalctl", tmp_path / "own.log"
    fields = {"__CURSOR": "c1", "__REALTIME_TIMESTAMP": f"{time.time():.6f}".replace(".", ""), "PRIORITY": "3"}
    line = json.dumps({**fields, "MESSAGE": "ERROR own", "_SYSTEMD_UNIT": "shop.service"})
    program.write_text(f"#!/bin/sh\ncase $* in *--version*) exit;; *PRIORITY=3*) echo '{line}';; esac\nexec sleep 60\n")
    program.chmod(0o755)
    log.touch()
    environment = {**settings.child_environment, "PATH": f"{tmp_path}:{os.defpath}"}
    files = (LogFile(path=str(log), unit="shop.service"),)
    here = Host(name="here", groups=(), connection=Connection(kind="local", address="here"), log_files=files)

    with following(replace(settings, child_environment=environment), [here], heard):
        (record,) = wait_for(lambda: heard.of("ERROR own"), "the journal's record")
        wait_for(lambda: heard.cursor("here", str(log)), "the file's position")
        log.write_text("ERROR file\n")
        wait_for(lambda: heard.of("ERROR file"), "the file's line")

    assert (record.unit, record.own_session, heard.cursor("here", BY_FIELD.source)) == ("shop.service", False, "c1")
