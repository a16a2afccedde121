"""Following log files of real hosts: rotation, half lines, a stop, what can't be read, the journal's echo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet import Lab
from orchestrator.collect import readers
from orchestrator.collect.connection import Connections
from orchestrator.collect.doctor import examine
from orchestrator.collect.follow import SshCollector
from orchestrator.settings import Settings
from tests.support.collect_stage import Heard, entry, following, settings_in, token
from tests.support.waiting import wait_for

pytestmark = pytest.mark.lab

FOLDER = "/var/log/shop files"
LOG = f"{FOLDER}/it's.log"
_LOG = "'/var/log/shop files/it'\\''s.log'"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(readers, "FILE_PERIOD", 0.1)
    return settings_in(tmp_path)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def log(lab: Lab) -> Iterator[str]:
    """An empty log file, its name quoted for a shell on web1."""
    lab.execute("web1", f"mkdir -p '{FOLDER}'; : > {_LOG}")
    yield _LOG
    lab.execute("web1", f"rm -rf '{FOLDER}'")


def positioned(heard: Heard, path: str = LOG) -> None:
    """Wait until the file's position is stored: what comes now is read."""
    wait_for(lambda: heard.cursor("web1", path), "the file's position")


def test_lines_are_read_through_renaming_copying_away_and_halves(
    lab: Lab, settings: Settings, heard: Heard, log: str
) -> None:
    word = token()

    def written(count: int) -> list[str]:
        return wait_for(
            lambda: [one.message for one in heard.of(word)] if len(heard.of(word)) >= count else None,
            f"{count} lines; {heard.of(word)}",
        )

    lab.execute("web1", f"echo ERROR {word} old >> {log}")
    with following(settings, [entry(lab, "web1", files=[LOG])], heard):
        positioned(heard)
        lab.execute("web1", f"echo ERROR {word} 1 >> {log}; echo fine {word} >> {log}; printf 'ERROR {word}' >> {log}")
        written(1)
        lab.execute("web1", f"echo ' 2' >> {log}")
        written(2)
        # Renamed, and a new one in its place: what was written last to the old one counts, its half line too.
        lab.execute(
            "web1",
            f"echo ERROR {word} 3 >> {log}; printf 'ERROR {word} 4' >> {log}; mv {log} {log}.1; "
            f"echo {'fine ' * 50} >> {log}; echo ERROR {word} 5 >> {log}",
        )
        written(5)
        # Copied away and emptied.
        lab.execute("web1", f"cp {log} {log}.2; : > {log}; echo ERROR {word} 6 >> {log}; echo fine >> {log}")
        written(6)
        lab.execute("web1", f"rm {log}")
        lab.execute("web1", f"echo ERROR {word} 7 >> {log}")
        written(7)

    assert [(one.message, one.unit, one.source) for one in heard.of(word)] == [
        (f"ERROR {word} {number}", "shop.service", LOG) for number in range(1, 8)
    ]


def test_what_is_written_while_nobody_listens_is_read_at_the_next_start_once(
    lab: Lab, settings: Settings, heard: Heard, log: str
) -> None:
    word, host = token(), entry(lab, "web1", files=[LOG])
    with following(settings, [host], heard):
        positioned(heard)
        lab.execute("web1", f"echo ERROR {word} 1 >> {log}")
        wait_for(lambda: heard.of(word), "the first line")

    lab.execute("web1", f"echo ERROR {word} 2 >> {log}; mv {log} {log}.1; echo ERROR {word} 3 >> {log}")
    with following(settings, [host], heard):
        wait_for(lambda: len(heard.of(word)) == 3, "what was missed")
        lab.execute("web1", f"echo ERROR {word} 4 >> {log}")
        wait_for(lambda: len(heard.of(word)) == 4, "what is new")

    assert [one.message[-1] for one in heard.of(word)] == ["1", "2", "3", "4"]


def test_a_file_that_appears_with_its_first_error_is_read_from_its_beginning(
    lab: Lab, settings: Settings, heard: Heard, log: str
) -> None:
    word = token()
    lab.execute("web1", f"rm {log}")

    with following(settings, [entry(lab, "web1", files=[LOG])], heard) as collector:
        wait_for(lambda: "is not there" in " ".join(collector.states()[0].problems), "the missing file is named")
        lab.execute("web1", f"echo ERROR {word} >> {log}")
        wait_for(lambda: heard.of(word), "its first line")
        wait_for(lambda: not collector.states()[0].problems, "no problem any more")


def test_the_same_line_in_journal_and_file_is_one_record(lab: Lab, settings: Settings, heard: Heard, log: str) -> None:
    word, end = token(), token()

    with following(settings, [entry(lab, "web1", files=[LOG])], heard):
        positioned(heard)
        # As rsyslog would write it, and as the service itself prints it.
        lab.execute(
            "web1",
            f"echo \"$(date '+%b %e %H:%M:%S') web1 shop[7]: ERROR: no stock {word}\" >> {log}; "
            "systemd-run --quiet --collect --wait --description=shop --unit=shop "
            f"sh -c 'echo ERROR: no stock {word}'; echo ERROR {end} >> {log}",
        )
        wait_for(lambda: heard.of(end), "the line after it")
        wait_for(lambda: heard.of(word), "the line itself")
        lab.execute("web1", f"logger -p daemon.err {end} again")
        wait_for(lambda: len(heard.of(end)) == 2, "both sources are read past it")

    assert [one.unit for one in heard.of(word)] == ["shop.service"]


def test_without_sudo_a_file_that_may_not_be_read_is_a_problem_and_a_line_of_doctor(
    lab: Lab, settings: Settings, heard: Heard, log: str
) -> None:
    word = token()
    lab.execute("web1", f"chmod 0600 {log}")
    host = entry(lab, "web1", files=[LOG], become=False)
    connections = Connections(settings)
    collector = SshCollector(settings, connections)

    collector.start([host], heard, heard.cursor)
    problem = wait_for(lambda: " ".join(collector.states()[0].problems), "the file is named")
    (line,) = [one for one in examine(connections, host) if LOG in one.name]
    lab.execute("web1", f"chmod 0644 {log}")
    positioned(heard)
    lab.execute("web1", f"echo ERROR {word} >> {log}")
    wait_for(lambda: heard.of(word), "it is read once it may be")
    collector.stop()
    connections.close()

    assert problem.startswith(f"{LOG} can't be read by healer: add healer to the file's group")
    assert (line.ok, line.text) == (False, f"{LOG} can't be read by healer")
    assert line.fix.startswith("add healer to the file's group")


def test_with_sudo_a_file_of_root_is_read(lab: Lab, settings: Settings, heard: Heard, log: str) -> None:
    word = token()
    lab.execute("web1", f"chmod 0600 {log}")

    with following(settings, [entry(lab, "web1", files=[LOG])], heard) as collector:
        positioned(heard)
        lab.execute("web1", f"echo ERROR {word} >> {log}")
        wait_for(lambda: heard.of(word), "the line")

        assert collector.states()[0].problems == ()
