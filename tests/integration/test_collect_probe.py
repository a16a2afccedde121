"""Questions to real hosts: facts for the guard, what came after a position, runs that are alive, doctor's lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.collect.connection import Connections
from orchestrator.collect.doctor import examine
from orchestrator.collect.follow import SshCollector
from orchestrator.collect.probe import SshProbe
from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import Cursor, RunId
from orchestrator.errors import HostAuthRefused, HostTimeout
from orchestrator.ports import Check
from orchestrator.settings import Settings
from tests.support.collect_stage import entry, say, settings_in, token
from tests.support.waiting import wait_for

pytestmark = pytest.mark.lab

#: The controller itself.
HERE = Host(name="here", groups=(), connection=Connection(kind="local", address="here"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def connections(settings: Settings) -> Iterator[Connections]:
    made = Connections(settings)
    yield made
    made.close()


@pytest.fixture
def probe(connections: Connections) -> SshProbe:
    return SshProbe(connections)


def test_units_are_resolved_and_their_dependants_followed(lab: Lab, probe: SshProbe) -> None:
    lab.execute(
        "web1",
        "cd /run/systemd/system && printf '[Service]\\nExecStart=sleep 60\\n' > base.service && "
        "printf '[Unit]\\nBindsTo=base.service\\n[Service]\\nExecStart=sleep 60\\n' > middle.service && "
        "printf '[Unit]\\nRequires=middle.service\\n[Service]\\nExecStart=sleep 60\\n' > top.service && "
        "ln -sf base.service alias.service && systemctl daemon-reload && systemctl start top.service alias.service",
    )
    try:
        asked = ["sshd", "nginx", "alias.service", "none-such", "getty.target", "foo@.service", "-x", "a b", "$(id)"]
        facts = probe.inspect(entry(lab, "web1"), asked, []).units
    finally:
        lab.execute(
            "web1",
            "systemctl stop top middle base; rm /run/systemd/system/{top,middle,base,alias}.service; "
            "rm -f /run/systemd/system/top.service /run/systemd/system/middle.service "
            "/run/systemd/system/base.service /run/systemd/system/alias.service; systemctl daemon-reload",
            check=False,
        )

    assert (facts["sshd"].id, facts["sshd"].load_state, facts["sshd"].active_state) == (
        "ssh.service",
        "loaded",
        "active",
    )
    assert set(facts["sshd"].names) == {"ssh.service", "sshd.service"}
    assert (facts["nginx"].id, facts["nginx"].load_state) == ("nginx.service", "loaded")
    assert facts["alias.service"].id == "base.service"
    assert facts["alias.service"].required_by == ("middle.service", "top.service")
    assert facts["none-such"].load_state == "not-found"
    assert facts["getty.target"].load_state == "masked"
    assert {facts[name].load_state for name in ("foo@.service", "-x", "a b", "$(id)")} == {"invalid"}


def test_paths_are_resolved_with_owner_mode_and_the_directory_that_others_can_write(lab: Lab, probe: SshProbe) -> None:
    room = "/opt/it's a room"
    lab.execute(
        "web1",
        f"""mkdir -p "{room}/open" "{room}/shut"; cd "{room}"; chmod 0777 open; chmod 0755 shut
        echo x > shut/file; chown healer:adm shut/file; chmod 4750 shut/file; ln shut/file shut/second
        echo x > open/file; ln -s ../shut/file open/link; ln -s "{room}/open" way; ln -s /nowhere dangling
        mkfifo shut/pipe""",
    )
    names = ["shut/file", "open/file", "open/link", "way/file", "dangling", "shut/pipe", "shut", "none"]
    try:
        host = entry(lab, "web1")
        asked = [*(f"{room}/{name}" for name in names), f"{room}/../x", "relative", "/opt/a\nb"]
        facts = probe.inspect(host, [], asked).paths
    finally:
        lab.execute("web1", f'rm -rf "{room}"')

    def told(name: str) -> tuple[str, str, str]:
        fact = facts[f"{room}/{name}"]
        return fact.realpath.removeprefix(f"{room}/"), fact.type, fact.writable_parent.removeprefix(f"{room}/")

    assert [told(name) for name in names] == [
        ("shut/file", "file", ""),
        ("open/file", "file", "open"),
        ("shut/file", "file", "open"),
        ("open/file", "file", "way"),
        ("", "other", ""),
        ("shut/pipe", "other", ""),
        ("shut", "directory", ""),
        ("", "missing", ""),
    ]
    file = facts[f"{room}/shut/file"]
    assert (file.owner, file.group, file.mode, file.links) == ("healer", "adm", "4750", 2)
    assert {facts[name].type for name in (f"{room}/../x", "relative", "/opt/a\nb")} == {"missing"}


def test_folder_that_a_service_declares_is_its_users_and_nobody_elses(lab: Lab, probe: SshProbe) -> None:
    lab.execute(
        "web1",
        """printf '[Service]\\nType=exec\\nUser=healer\\nLogsDirectory=kept\\nExecStart=/bin/sleep 300\\n' \\
            >/run/systemd/system/kept.service
        systemctl daemon-reload; systemctl start kept; touch /var/log/kept/log
        mkdir /var/log/kept/inner; chown healer /var/log/kept/inner; touch /var/log/kept/inner/log""",
    )
    names = ["/var/log/kept/log", "/var/log/kept/inner/log"]
    try:
        facts = probe.inspect(entry(lab, "web1"), [], names).paths
    finally:
        lab.execute(
            "web1", "systemctl stop kept; rm -r /run/systemd/system/kept.service /var/log/kept; systemctl daemon-reload"
        )

    assert [facts[name].type for name in names] == ["file", "file"]
    assert [facts[name].writable_parent for name in names] == ["", "/var/log/kept/inner"]


def test_a_run_counts_as_running_for_as_long_as_a_process_of_it_lives(lab: Lab, probe: SshProbe) -> None:
    run, host = RunId(f"inc-{token()}-act"), entry(lab, "web1")
    lab.execute("web1", f"systemd-run --quiet --collect --unit=run-it --setenv=HEALING_RUN={run} sleep 300")

    assert probe.running(host, run)
    assert not probe.running(host, RunId(run[:-1]))
    assert not probe.running(host, RunId(f"{run}2"))
    lab.execute("web1", "systemctl stop run-it.service")
    assert not probe.running(host, run)


def test_since_gives_what_came_after_the_position_and_nothing_else(lab: Lab, probe: SshProbe) -> None:
    log, before, after = "/var/log/since.log", token(), token()
    host = entry(lab, "web1", files=[log])
    lab.execute("web1", f"echo ERROR {before} > {log}; logger -p daemon.err {before}; journalctl --sync")

    cursor = probe.position(host)
    silent = probe.since(host, cursor)
    say(lab, "web1", f"ERROR {after} output")
    lab.execute(
        "web1",
        f"logger -p daemon.err {after} priority; echo ERROR {after} old file >> {log}; mv {log} {log}.1; "
        f"echo ERROR {after} new file >> {log}; journalctl --sync",
    )
    found = probe.since(host, cursor)
    lab.execute("web1", f"rm -f {log} {log}.1")

    assert [one for one in silent if before in one.message] == []
    assert sorted(one.message for one in found if after in one.message) == [
        f"ERROR {after} new file",
        f"ERROR {after} old file",
        f"ERROR {after} output",
        f"{after} priority",
    ]
    assert not [one for one in found if before in one.message]
    # Of a file an error can come a second after its line in the journal: sorted by time all the same.
    assert [one.time for one in found] == sorted(one.time for one in found)


def test_a_file_that_appears_after_the_position_is_looked_at(lab: Lab, probe: SshProbe) -> None:
    log, word = "/var/log/since-new.log", token()
    host = entry(lab, "web1", files=[log])

    cursor = probe.position(host)
    silent = probe.since(host, cursor)
    lab.execute("web1", f"echo ERROR {word} > {log}")
    found = probe.since(host, cursor)
    lab.execute("web1", f"rm {log}")

    assert [one for one in silent if one.source == log] == []
    assert [one.message for one in found if one.source == log] == [f"ERROR {word}"]


def test_a_flood_after_the_position_is_no_silence(lab: Lab, probe: SshProbe) -> None:
    log = "/var/log/since.log"
    host = entry(lab, "web1", files=[log])
    lab.execute("web1", f": > {log}")

    cursor = probe.position(host)
    lab.execute("web1", f"yes 'fine and fine' | head -c 12000000 > {log}")
    try:
        with pytest.raises(HostTimeout, match="too much to look through"):
            probe.since(host, cursor)
    finally:
        lab.execute("web1", f"rm -f {log}")


def test_a_position_that_is_none_is_no_silence(lab: Lab, probe: SshProbe) -> None:
    host = entry(lab, "web1")

    with pytest.raises(HostTimeout, match="can't be read"):
        probe.since(host, Cursor("{}"))
    with pytest.raises(Exception, match="journalctl failed"):
        probe.since(host, Cursor(json.dumps({"journal": "nonsense", "time": 1, "files": {}})))


def test_one_pass_gives_journal_and_files_of_a_time(lab: Lab, settings: Settings, connections: Connections) -> None:
    log, word = "/var/log/pass.log", token()
    host = entry(lab, "web1", files=[log])
    say(lab, "web1", f"ERROR {word} output")
    lab.execute(
        "web1",
        f'echo "$(date \'+%F %T\') ERROR {word} dated" > {log}; echo "2001-01-01 00:00:00 ERROR {word} old" >> {log}; '
        f"echo ERROR {word} undated >> {log}; logger -p daemon.crit {word} priority; journalctl --sync",
    )

    found = SshCollector(settings, connections).poll(host, since=datetime.now(UTC) - timedelta(seconds=60))
    lab.execute("web1", f"rm -f {log}")

    assert {one.message.partition(word)[2].strip() for one in found if word in one.message} == {
        "output",
        "dated",
        "priority",
    }


def doctor(connections: Connections, host: Host) -> dict[str, Check]:
    return {one.name.removeprefix(f"{host.name} "): one for one in examine(connections, host)}


def test_doctor_finds_a_healthy_host_well(lab: Lab, connections: Connections) -> None:
    lines = doctor(connections, entry(lab, "web1"))

    assert {name: (line.ok, line.fix) for name, line in lines.items()} == {
        name: (True, "") for name in ("ssh", "clock", "sudo", "python", "journal")
    }
    assert lines["journal"].text == "read as healer"


@pytest.fixture
def sudoers(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Replaces healer's rule on web2, and the name by which web2 knows itself."""

    def write(rule: str) -> None:
        lab.execute("web2", f"echo '{rule}' > /etc/sudoers.d/healer")

    yield write
    write("healer ALL=(ALL:ALL) NOPASSWD: ALL")


def test_a_sudo_that_asks_for_a_password_is_named_by_doctor_and_by_every_question(
    lab: Lab, connections: Connections, probe: SshProbe, sudoers: Callable[[str], None]
) -> None:
    host = entry(lab, "web2")
    sudoers("healer ALL=(ALL:ALL) ALL")

    line = doctor(connections, host)["sudo"]
    with pytest.raises(HostAuthRefused) as caught:
        probe.inspect(host, ["nginx"], [])
    with pytest.raises(HostAuthRefused, match="NOPASSWD"):
        probe.running(host, RunId("inc-1-act"))

    assert (line.ok, line.text) == (False, "sudo asks healer for a password")
    assert line.fix == "with visudo on the host: healer ALL=(ALL:ALL) NOPASSWD: ALL"
    assert str(caught.value).startswith(
        "web2: sudo lets healer do nothing without a password (sudo: a password is required)"
    )


def test_a_sudo_that_warns_and_works_works(lab: Lab, connections: Connections) -> None:
    lab.execute("web2", "hostname nobody-knows-me")
    try:
        line = doctor(connections, entry(lab, "web2"))["sudo"]
    finally:
        lab.execute("web2", "hostname web2")

    assert (line.ok, line.text) == (True, "works without a password")


def test_doctor_names_a_missing_python_and_a_journal_that_can_not_be_read(lab: Lab, connections: Connections) -> None:
    host = entry(lab, "web2", become=False)
    lab.execute(
        "web2", "mv /usr/bin/python3 /usr/bin/python3.away; gpasswd -d healer systemd-journal; gpasswd -d healer adm"
    )
    try:
        lines = doctor(connections, host)
        with pytest.raises(HostAuthRefused, match="usermod -aG systemd-journal healer"):
            SshProbe(connections).position(host)
    finally:
        lab.execute("web2", "mv /usr/bin/python3.away /usr/bin/python3; usermod -aG systemd-journal,adm healer")

    assert (lines["python"].ok, lines["python"].text) == (False, "no python3 there, which Ansible needs")
    assert (lines["journal"].ok, lines["journal"].fix) == (False, "usermod -aG systemd-journal healer")
    assert lines["sudo"].ok is None


def test_a_login_without_a_shell_is_named(lab: Lab, connections: Connections) -> None:
    lab.execute("web2", "usermod -s /usr/sbin/nologin healer")
    try:
        line = doctor(connections, entry(lab, "web2"))["ssh"]
        # More than a host takes before it reads: it has ended by then, whoever is faster.
        answer = connections.get(entry(lab, "web2")).run("#" * 5_000_000)
    finally:
        lab.execute("web2", "usermod -s /bin/bash healer")

    assert answer.code == 1
    assert "not available" in answer.text
    assert line.ok is False
    assert "The login user needs a plain shell" in line.text


def test_the_controller_itself_is_asked_without_ssh(connections: Connections, probe: SshProbe, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    run = RunId(f"inc-{token()}-act")
    link = connections.get(HERE)
    stream = link.open(f"HEALING_RUN={run}; export HEALING_RUN; sleep 60")

    facts = probe.inspect(HERE, ["nginx"], [str(tmp_path / "file")])
    wait_for(lambda: probe.running(HERE, run), "the process is seen")
    stream.close()
    wait_for(lambda: not probe.running(HERE, run), "it ended with its stream")
    lines = doctor(connections, HERE)

    assert (facts.paths[str(tmp_path / "file")].type, facts.paths[str(tmp_path / "file")].mode) == ("file", "0640")
    assert lines["ssh"].text.endswith("(local)")
    assert not probe.running(replace(HERE, name="still here"), run)
