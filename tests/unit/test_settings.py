"""Settings: one file, one reader; a wrong key or value is one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator import settings
from orchestrator.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "healer.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_hold_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    loaded = settings.load(environ={})

    assert loaded.config_file is None
    assert loaded.api_port == 8420
    assert loaded.state_dir == tmp_path / ".healing"
    assert loaded.gemini_api_key is None


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    loaded = settings.load(write(tmp_path, 'inventory = "hosts.yml"\nstate_dir = "/var/lib/x"\n'), {})

    assert loaded.inventory == tmp_path / "hosts.yml"
    assert loaded.state_dir == Path("/var/lib/x")
    assert loaded.database_url == "sqlite:////var/lib/x/healer.sqlite"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('inventry = "x"', "Did you mean 'inventory'"),
        ("quite_unknown = 1", "Known: api_certificate, api_host"),
        ('api_port = "8420"', "api_port takes a whole number"),
        ("api_port = 0", "api_port takes a number above 0"),
        ("inject_errors = 1", "inject_errors takes true or false"),
        ("outbreak_hosts = 1", "line 1: outbreak_hosts takes a number of at least 2, got 1"),
        ("outbreak_wave_max = 21", "line 1: outbreak_wave_max takes a number above 0 and at most 20, got 21"),
        ("\nbreaker_least_attempts = 30", "line 2: breaker_least_attempts (30) is above breaker_last_attempts (20)"),
        ("keep_artifacts_days = 500", "line 1: keep_records_days (400) is too short"),
        ("\n[fleet]\nsick_percent = 5", "line 2: there is no setting 'fleet'"),
        ("poll_seconds = true", "poll_seconds takes a number"),
        ("inventory = 3", "line 1: inventory takes a path"),
        ("gemini_price_in = -0.1", "gemini_price_in takes a number of at least 0, got -0.1"),
        ("gemini_price_out = nan", "gemini_price_out takes a number of at least 0, got nan"),
        ('gemini_price_out = "0.3 EUR"', "gemini_price_out takes a number, got '0.3 EUR'"),
        ("gemini_temperature = 1.1", "gemini_temperature takes a number of at least 0 and at most 1, got 1.1"),
        ("gemini_temperature = -1", "gemini_temperature takes a number of at least 0 and at most 1"),
        ("gemini_max_tokens = 3999", "gemini_max_tokens takes a number of at least 4,000 and at most 1,000,000"),
        ("gemini_max_tokens = 8000.5", "gemini_max_tokens takes a whole number"),
        ("gemini_breaker_failures = 0", "gemini_breaker_failures takes a number above 0"),
        ("gemini_breaker_seconds = inf", "gemini_breaker_seconds takes a number above 0, got inf"),
        ('gemini_hide_addresses = "yes"', "gemini_hide_addresses takes true or false"),
        ('gemini_base_url = "ftp://x"', "line 1: gemini_base_url takes an address such as https://"),
        ('gemini_base_url = "127.0.0.1:8499"', "gemini_base_url takes an address such as https://"),
        ('\ngemini_model = ""', "line 2: gemini_model takes a model's name, such as gemini-flash-latest, got ''"),
        ('gemini_model = "a b"', "gemini_model takes a model's name"),
        ("= broken", "can't be read"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        settings.load(write(tmp_path, text), {})

    assert "healer.toml" in str(caught.value)


def test_a_named_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        settings.load(environ={"HEALER_CONFIG": str(tmp_path / "none.toml")})


def test_children_get_no_secret_and_nothing_unasked(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "GEMINI_API_KEY": "canary", "HEALER_TOKEN": "canary", "AWS_SECRET": "canary"}

    loaded = settings.load(write(tmp_path, ""), environ)

    assert "canary" not in str(loaded.child_environment)
    assert "canary" not in repr(loaded)
    assert loaded.gemini_api_key == "canary"


def test_the_example_is_a_config_of_defaults(tmp_path: Path) -> None:
    example = settings.example()

    loaded = settings.load(write(tmp_path, example), {})
    # The table after the settings is an example, not a default: tests/unit/test_channels.py.
    rows = example.split("#[[notify]]")[0].splitlines()
    uncommented = "\n".join(line.removeprefix("#") for line in rows if line.startswith("#") and " = " in line)
    explicit = settings.load(write(tmp_path, uncommented), {})

    assert loaded.api_port == explicit.api_port == 8420
    assert loaded.poll_seconds == explicit.poll_seconds


@pytest.mark.parametrize(("lease", "renewal", "ok"), [(20, 5, True), (19.9, 5, False), (5, 10, False), (60, 25, True)])
def test_a_lease_that_one_missed_renewal_would_end_is_refused(
    tmp_path: Path, lease: float, renewal: float, ok: bool
) -> None:
    config = tmp_path / "healer.toml"
    config.write_text(f"run_lease_seconds = {lease}\nrun_renewal_seconds = {renewal}\n")
    if ok:
        assert settings.load(config, {}).run_lease_seconds == lease
        return
    with pytest.raises(
        ConfigError,
        match=rf"healer.toml, line 1: run_lease_seconds \({lease:g}\) is too short .* Take {2 * renewal + 10:g} or",
    ):
        settings.load(config, {})
