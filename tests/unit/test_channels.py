"""The `[[notify]]` tables: what is accepted, and the one sentence for what is not. A URL is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import settings
from orchestrator.domain.notices import USUAL, NoticeKind
from orchestrator.domain.records import Severity
from orchestrator.errors import ConfigError

URL = "slack://T1JJ3T3L2/A1BRTD4JD/canary"


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> settings.Settings:
    path = folder / "healer.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path, environ or {})


def test_without_a_table_nobody_is_told(tmp_path: Path) -> None:
    assert load(tmp_path, "").notify == ()


def test_a_table_needs_a_name_and_a_url_alone(tmp_path: Path) -> None:
    (channel,) = load(tmp_path, f'[[notify]]\nname = "ops"\nurl = "{URL}"\n').notify

    assert (channel.name, channel.url, channel.service) == ("ops", URL, "slack")
    assert channel.events == USUAL
    assert NoticeKind.APPROVAL in channel.events
    assert NoticeKind.HEALED not in channel.events
    assert (channel.severity, channel.groups, channel.per_hour, channel.window_seconds) == (
        Severity.WARNING,
        frozenset(),
        30,
        30.0,
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
[[notify]]
name = "night"
url_env = "PAGER"
events = ["escalated", "approval"]
severity = "CRITICAL"
groups = ["db", "web"]
per_hour = 6
quiet_hours = ["22:00-06:00 Europe/Berlin"]
quiet_severity = "ERROR"
window_seconds = 90
"""
    (channel,) = load(tmp_path, text, {"PAGER": URL}).notify

    assert channel.url == URL
    assert channel.events == {NoticeKind.ESCALATED, NoticeKind.APPROVAL}
    assert (channel.severity, channel.groups) == (Severity.CRITICAL, frozenset({"db", "web"}))
    assert (channel.per_hour, channel.window_seconds) == (6, 90.0)
    assert ([one.text for one in channel.quiet], channel.quiet_severity) == (
        ["22:00-06:00 Europe/Berlin"],
        Severity.ERROR,
    )


def test_a_variable_that_is_not_set_stops_no_other_command(tmp_path: Path) -> None:
    (channel,) = load(tmp_path, '[[notify]]\nname = "ops"\nurl_env = "PAGER"\n').notify

    assert (channel.url, channel.url_env, channel.service) == (None, "PAGER", "")


def test_a_url_shows_itself_nowhere(tmp_path: Path) -> None:
    text = f'[[notify]]\nname = "a"\nurl = "{URL}"\n[[notify]]\nname = "b"\nurl_env = "PAGER"\n'

    loaded = load(tmp_path, text, {"PAGER": URL})

    assert "canary" not in repr(loaded)
    assert "canary" not in f"{loaded.child_environment} {loaded.notify_environment}"


def test_the_child_that_tells_people_finds_the_proxy_and_no_key(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "GEMINI_API_KEY": "canary", "PATH": "/bin"}

    assert load(tmp_path, "", environ).notify_environment == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "HTTPS_PROXY": "http://proxy:3128",
    }


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('url = "x://y"', "table 1: name takes 1 to 32"),
        ('name = "Ops Team"\nurl = "x://y"', "table 1: name takes 1 to 32"),
        ('name = "ops"', "table 1 (ops): it takes either url or url_env"),
        ('name = "ops"\nurl = "x://y"\nurl_env = "PAGER"', "it takes either url or url_env"),
        ('name = "ops"\nurl = "canary"', "must look like service://...; this is none (it is not shown)"),
        ('name = "ops"\nurl = 3', "must look like service://"),
        ('name = "ops"\nurl_env = "BROKEN"', "must look like service://...; the variable BROKEN holds none"),
        ('name = "ops"\nurl_env = "A B"', "url_env takes the name of an environment variable"),
        ('name = "ops"\nurl = "x://y"\nseverty = "ERROR"', "no key 'severty'. Did you mean 'severity'?"),
        ('name = "ops"\nurl = "x://y"\ncolour = "red"', "no key 'colour'. Known: name, url, url_env"),
        ('name = "ops"\nurl = "x://y"\nseverity = "error"', "accepted: DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ('name = "ops"\nurl = "x://y"\nseverity = 3', "severity is 3"),
        ('name = "ops"\nurl = "x://y"\nevents = ["escalate"]', "events holds 'escalate'; accepted: store, approval"),
        ('name = "ops"\nurl = "x://y"\nevents = []', "events is empty, so nothing would be told"),
        ('name = "ops"\nurl = "x://y"\nevents = "healed"', "events takes a list of strings"),
        ('name = "ops"\nurl = "x://y"\ngroups = [1]', "groups takes a list of strings"),
        (
            'name = "ops"\nurl = "x://y"\nquiet_hours = ["22:00-06:00"]',
            "quiet_hours has '22:00-06:00', which is no",
        ),
        ('name = "ops"\nurl = "x://y"\nquiet_hours = "22:00"', "quiet_hours takes a list of strings"),
        ('name = "ops"\nurl = "x://y"\nquiet_severity = "LOUD"', "quiet_severity is 'LOUD'; accepted: DEBUG"),
        ('name = "ops"\nurl = "x://y"\nper_hour = 1', "per_hour takes a number from 2 to 3600, got 1"),
        ('name = "ops"\nurl = "x://y"\nper_hour = 2.5', "per_hour takes a whole number"),
        ('name = "ops"\nurl = "x://y"\nwindow_seconds = nan', "window_seconds takes a number"),
        ('name = "ops"\nurl = "x://y"\nwindow_seconds = true', "window_seconds takes a number"),
        ('name = "a"\nurl = "x://y"\n[[notify]]\nname = "a"\nurl = "x://z"', "two [[notify]] tables have the name 'a'"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[[notify]]\n{table}\n", {"BROKEN": "canary"})

    assert sentence in str(caught.value)
    assert "healer.toml" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ['notify = "slack://x"', "[notify]\nname = 'ops'", "notify = [1]"])
def test_what_is_no_list_of_tables_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"notify takes tables: \[\[notify\]\]"):
        load(tmp_path, text)


def test_the_example_shows_a_table_at_its_end(tmp_path: Path) -> None:
    shown = settings.example().split("\n#[[notify]]")[1]

    text = "[[notify]]" + "\n".join(line.removeprefix("#") for line in shown.splitlines())
    (channel,) = load(tmp_path, text, {"HEALER_NOTIFY_OPS": URL}).notify

    assert channel.events == USUAL
