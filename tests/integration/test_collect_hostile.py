"""A host that floods us harms only itself: another host is heard meanwhile, and our memory stays bounded."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.collect.follow import SshCollector
from orchestrator.collect.limits import BURST_SECONDS, RECORDS_OF_UNIT
from orchestrator.domain.hosts import LogFile
from orchestrator.settings import Settings
from tests.support.collect_stage import Heard, entry, following, say, settings_in, token
from tests.support.waiting import wait_for

pytestmark = pytest.mark.lab

#: MB that this process may grow by; each case sends far more.
MOST = 60

_LINE = (
    '{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1764000000000000","PRIORITY":"3","_SYSTEMD_UNIT":"a.service",'
    '"MESSAGE":"ERROR flood"}'
)
#: What a hostile host has in the place of journalctl; the first word of a case is what it says of its features.
FLOODS = {
    "lines": f"exec yes '{_LINE}'",
    "an endless line": "exec tr '\\0' x < /dev/zero",
    "an endless record": "printf '{\"MESSAGE\":\"'; exec tr '\\0' x < /dev/zero",
    "binary": "exec cat /dev/urandom",
    "deep": "while :; do yes '[' | tr -d '\\n' | head -c 60000; echo; done",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def megabytes() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


@pytest.fixture(params=FLOODS, ids=lambda name: name.replace(" ", "-"))
def hostile(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """web1's journalctl is not what it seems."""
    script = FLOODS[request.param].replace("'", "'\\''")
    lab.execute(
        "web1",
        f"printf '%s\\n' '#!/bin/sh' 'case \"$*\" in *--version*) echo +PCRE2; exit;; esac' '{script}' "
        "> /usr/local/bin/journalctl; chmod 0755 /usr/local/bin/journalctl",
    )
    yield str(request.param)
    lab.execute("web1", "rm /usr/local/bin/journalctl")


def states_of(collector: SshCollector, host: str) -> str:
    return next(state.state for state in collector.states() if state.host == host)


def test_a_journal_without_bounds_harms_no_other_host(lab: Lab, settings: Settings, hostile: str) -> None:
    heard, first, second, before = Heard(), token(), token(), megabytes()
    begun = time.monotonic()

    with following(settings, [entry(lab, "web1"), entry(lab, "web2")], heard) as collector:
        say(lab, "web2", f"ERROR {first}")
        wait_for(lambda: heard.of(first), "the other host is heard", 5)
        # One stream has by now brought more than its burst, or has been given up.
        threading.Event().wait(1.0)
        say(lab, "web2", f"ERROR {second}")
        wait_for(lambda: heard.of(second), "and again", 5)
        grown = megabytes() - before

    assert grown < MOST
    most = RECORDS_OF_UNIT * (BURST_SECONDS + time.monotonic() - begun)
    assert len(heard.of("flood")) <= most, "more of one unit than its rate allows"
    assert "web1" in {state.host for state in collector.states()}


def test_a_log_file_without_bounds_harms_no_other_host(lab: Lab, settings: Settings) -> None:
    heard, word, before = Heard(), token(), megabytes()
    paths = ["/var/log/flood/flood.log", "/var/log/flood/endless.log", "/var/log/flood/small.log"]
    # Units of their own: of one loud unit no more is heard than its share, from whatever file.
    units = tuple(LogFile(path=path, unit=f"{Path(path).stem}.service") for path in paths)
    host = replace(entry(lab, "web1"), log_files=units)
    files = "".join(f": > {path};" for path in paths)
    lab.execute("web1", f"mkdir /var/log/flood; mount -t tmpfs -o size=200m tmpfs /var/log/flood; {files}")
    flood = "timeout 3 yes ERROR flood | head -c 100000000 >> /var/log/flood/flood.log"
    endless = "head -c 40000000 /dev/zero | tr '\\0' x >> /var/log/flood/endless.log"
    try:
        with following(settings, [host, entry(lab, "web2")], heard) as collector:
            wait_for(lambda: all(heard.cursor("web1", path) for path in paths), "the files' positions")
            lab.execute(
                "web1",
                f'systemd-run --quiet --collect sh -c "{flood}"; systemd-run --quiet --collect sh -c "{endless}"',
            )
            wait_for(lambda: heard.of("ERROR flood"), "the flood has begun")
            say(lab, "web2", f"ERROR {word} other host")
            wait_for(lambda: heard.of(f"{word} other host"), "the other host is heard", 5)
            lab.execute("web1", f"echo ERROR {word} other file >> /var/log/flood/small.log")
            wait_for(lambda: heard.of(f"{word} other file"), "the host's other file is read", 15)
            (problem,) = [one for state in collector.states() for one in state.problems if "log files" in one]
            grown = megabytes() - before
    finally:
        lab.execute("web1", "pkill -x yes; umount --lazy /var/log/flood; rmdir /var/log/flood", check=False)

    assert grown < MOST
    assert problem.endswith("bytes of log files: they grow faster than they can be read.")
