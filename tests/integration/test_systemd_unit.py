"""The unit file on a real systemd: what a stop ends and what goes on, and what a watchdog does.

A stand-in takes the place of `healer serve`; that one's own words are heard in tests/acceptance/test_ending.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet import Lab
from tests.support.fleets import fleet
from tests.support.waiting import wait_for

UNIT = Path(__file__).resolve().parents[2] / "docs/systemd/healing-bot.service"
#: Says what it is told to, and leaves a process in a session of its own, as runs have one.
STAND_IN = """\
#!/usr/bin/python3
import os, signal, socket, subprocess, sys, time
def tell(word):
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.connect(os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1))
    door.send(word)
def ends(*_):
    open("ended", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, ends)
if not os.path.exists("run"):
    run = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    open("run", "w").write(str(run.pid))
open("started", "a").write("once\\n")
status = open("/etc/healing-bot/exit").read().strip()
if status != "0":
    sys.exit(int(status))
tell(b"READY=1")
while True:
    if not os.path.exists("/etc/healing-bot/hang"):
        tell(b"WATCHDOG=1")
    time.sleep(0.1)
"""
STATE = "/var/lib/healing-bot"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with fleet("unit", tmp_path_factory.mktemp("unit"), 1) as made:
        install(made)
        yield made


def put(lab: Lab, path: str, text: str, mode: str = "0644") -> None:
    lab.execute("web1", f"install -D -m {mode} /dev/null {path} && cat > {path} <<'END'\n{text}\nEND")


def install(lab: Lab) -> None:
    lab.execute("web1", "useradd --system --home-dir /var/lib/healing-bot --shell /usr/sbin/nologin healing-bot")
    put(lab, "/etc/systemd/system/healing-bot.service", UNIT.read_text())
    put(lab, "/opt/healing-bot/.venv/bin/healer", STAND_IN, "0755")
    put(lab, "/etc/healing-bot/exit", "0")
    # Quicker than in production, so that nobody waits for it here.
    put(lab, "/etc/systemd/system/healing-bot.service.d/test.conf", "[Service]\nWatchdogSec=2s\nRestartSec=0")
    lab.execute("web1", "systemctl daemon-reload")


def says(lab: Lab, command: str) -> str:
    return lab.execute("web1", command, check=False).stdout.strip()


@pytest.fixture
def running(lab: Lab) -> Iterator[Lab]:
    lab.execute("web1", "systemctl reset-failed healing-bot 2>/dev/null; systemctl start healing-bot")
    yield lab
    lab.execute("web1", f"systemctl stop healing-bot; kill $(cat {STATE}/run); rm -f {STATE}/* /etc/healing-bot/hang")


def test_systemd_understands_every_line(lab: Lab) -> None:
    done = lab.execute("web1", "systemd-analyze verify /etc/systemd/system/healing-bot.service", check=False)

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_it_may_do_little_on_its_own_machine(lab: Lab) -> None:
    # 10 is what a service without any hardening gets; the network is what remains.
    said = says(lab, "systemd-analyze security --no-pager healing-bot.service | tail -n 1")

    assert "OK" in said, said


def test_a_stop_ends_the_service_and_no_playbook(running: Lab) -> None:
    running.execute("web1", "systemctl stop healing-bot")

    assert says(running, f"ls {STATE}/ended") == f"{STATE}/ended"
    assert says(running, f"kill -0 $(cat {STATE}/run) && echo lives") == "lives"
    running.execute("web1", "systemctl start healing-bot")
    assert says(running, f"kill -0 $(cat {STATE}/run) && echo lives") == "lives"


def test_one_that_hangs_is_killed_and_started_again_beside_its_playbook(running: Lab) -> None:
    first = says(running, "systemctl show --value --property MainPID healing-bot")
    running.execute("web1", "touch /etc/healing-bot/hang")

    wait_for(lambda: int(says(running, "systemctl show --value --property NRestarts healing-bot")) > 0, "a restart")

    running.execute("web1", "rm /etc/healing-bot/hang")
    wait_for(lambda: says(running, "systemctl is-active healing-bot") == "active", "it is back")
    assert says(running, "systemctl show --value --property MainPID healing-bot") != first
    assert says(running, f"kill -0 $(cat {STATE}/run) && echo lives") == "lives"


@pytest.mark.parametrize(("status", "again"), [(78, False), (75, True)])
def test_what_a_person_must_mend_is_not_tried_again(lab: Lab, status: int, again: bool) -> None:
    put(lab, "/etc/healing-bot/exit", str(status))
    lab.execute("web1", "systemctl reset-failed healing-bot 2>/dev/null; systemctl start healing-bot", check=False)

    wait_for(lambda: says(lab, "systemctl is-active healing-bot") == "failed", "it is given up")

    tries = len(says(lab, f"cat {STATE}/started").splitlines())
    lab.execute("web1", f"kill $(cat {STATE}/run); rm -f {STATE}/*; echo 0 > /etc/healing-bot/exit")
    assert (tries > 1) is again


def test_its_state_is_its_own(running: Lab) -> None:
    assert says(running, f"stat -c '%U %a' {STATE}") == "healing-bot 700"
