"""The only reader of the environment and of healing-bot's config file.

A *setting* is one row of `SETTINGS`: name, default, sentence. The config file is TOML with these names at
its top level; relative paths in it are relative to the file. A *policy* is not a setting: policy is inventory
variables.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from orchestrator import channels
from orchestrator.domain.fleet import FleetLimits
from orchestrator.domain.hosts import Secret
from orchestrator.domain.notices import Channel
from orchestrator.errors import ConfigError

#: Playbooks and roles of this checkout.
HOME = Path(__file__).resolve().parent.parent
CONFIG_NAME = "healer.toml"
#: The one key of the config file that is no setting but a list of tables.
NOTIFY = "notify"

#: Environment variables that are read, and nothing else is but what a `url_env` of `[[notify]]` names.
ENVIRONMENT = (
    "HEALER_CONFIG",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "HEALER_TOKEN",
    "SSH_AUTH_SOCK",
    "HOME",
    "PATH",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
)


#: Seconds before its lease lapses in which a run's process has ended its playbook.
KILLING = 10.0
#: Hosts that one playbook run works on at the same time: each is a process of some 70 MB.
WAVE_MAX = 20
#: Days that records are kept at least: attempts are counted over 24 hours.
SHORTEST_DAYS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One row: name, default, sentence. `docs/settings.md` has a heading for each."""

    name: str
    default: Any
    help: str
    #: The least and the most that a number may be; None: anything above 0, and no limit.
    least: float | None = None
    most: float | None = None


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="inventory",
        default=Path("inventory"),
        help="Ansible inventory: file, folder or plugin config.",
    ),
    Setting(
        name="inventory_environment",
        default="",
        help="Environment variables that inventory plugins may see besides ANSIBLE_*: names, with commas.",
    ),
    Setting(
        name="state_dir",
        default=Path(".healing"),
        help="Store, artifacts, token and sockets; mode 0700.",
    ),
    Setting(
        name="store_url",
        default="",
        help="SQLAlchemy URL of the store; empty: SQLite in state_dir.",
    ),
    Setting(
        name="playbooks_dir",
        default=HOME / "playbooks",
        help="Folders of the whitelist, one an action.",
    ),
    Setting(name="roles_dir", default=HOME / "roles", help="Roles that the playbooks use."),
    Setting(
        name="known_hosts",
        default=Path("~/.ssh/known_hosts"),
        help="Host keys, for paramiko and for Ansible's ssh alike.",
    ),
    Setting(
        name="ssh_config",
        default=Path("~/.ssh/config"),
        help="OpenSSH client config that connections honour.",
    ),
    Setting(
        name="connect_timeout_seconds",
        default=10.0,
        help="Limit for TCP, key exchange and login together.",
    ),
    Setting(
        name="poll_seconds",
        default=60.0,
        help="How often a source is read where following it fails.",
    ),
    Setting(name="max_parallel_healings", default=4, help="Hosts that may be healed at the same time."),
    Setting(name="budget_host_per_day", default=20, help="Act runs that one host may have within 24 hours."),
    Setting(name="budget_action_per_day", default=50, help="Act runs that one action may have within 24 hours."),
    Setting(name="budget_fleet_per_day", default=100, help="Act runs that all hosts may have within 24 hours."),
    Setting(
        name="fleet_hosts_max", default=4, help="Hosts that may be in healing at once; others wait for their turn."
    ),
    Setting(
        name="fleet_group_percent",
        default=50,
        help="How much of a group of the inventory may be in healing at once, in percent; one host always.",
        most=100,
    ),
    Setting(
        name="fleet_sick_percent",
        default=50,
        help="With more than this much of a group sick at once, in percent, nothing acts on any host; 100: off.",
        most=100,
    ),
    Setting(
        name="fleet_sick_hosts", default=4, help="Hosts that a group has at least for fleet_sick_percent to count."
    ),
    Setting(
        name="breaker_failed_percent",
        default=50,
        help="With more than this much of the last attempts failed, in percent, nothing acts for the cool-down; "
        "100: off.",
        most=100,
    ),
    Setting(
        name="breaker_least_attempts",
        default=6,
        help="Ended attempts that there are at least for breaker_failed_percent to count.",
    ),
    Setting(
        name="breaker_last_attempts",
        default=20,
        help="The last ended attempts, of the fleet and of each action, that breaker_failed_percent looks at.",
        most=200,
    ),
    Setting(
        name="breaker_cooldown_seconds",
        default=1800.0,
        help="How long nothing acts once a breaker opened; then one attempt at a time tries whether it can close.",
    ),
    Setting(
        name="outbreak_hosts",
        default=3,
        help="So many hosts with the same error within the window make an outbreak; 2 at least.",
        least=2,
    ),
    Setting(
        name="outbreak_window_seconds",
        default=120.0,
        help="The window in which hosts with the same error are counted.",
    ),
    Setting(
        name="outbreak_wave_max",
        default=10,
        help="Hosts that one wave of an outbreak may have; 20 at most.",
        most=WAVE_MAX,
    ),
    Setting(
        name="run_lease_seconds",
        default=60.0,
        help="How long a run's process vouches for it; one that can't renew this ends its playbook before.",
    ),
    Setting(
        name="run_renewal_seconds",
        default=5.0,
        help="How often a run's process renews its lease; the lease takes two of these and 10 s at least.",
    ),
    Setting(
        name="drain_seconds",
        default=120.0,
        help="How long running healings may take to finish after SIGTERM.",
    ),
    Setting(
        name="approval_expiry_seconds",
        default=3600.0,
        help="How long a question to a person stays open.",
    ),
    Setting(
        name="incident_expiry_seconds",
        default=3600.0,
        help="Silence after which an escalated incident expires.",
    ),
    Setting(
        name="keep_artifacts_days",
        default=90,
        help="How long what a finished run left on disk is kept.",
    ),
    Setting(
        name="keep_records_days",
        default=400,
        help="How long closed incidents, their runs and the ledger's lines are kept; 2 at least.",
    ),
    Setting(
        name="artifacts_limit_mb",
        default=1000,
        help="Disk that all runs' artifacts may take; the oldest finished ones go first.",
    ),
    Setting(
        name="memory_healed_times",
        default=3,
        help="How often in a row a decision must have healed an error before memory takes it without asking.",
    ),
    Setting(
        name="gemini_model",
        default="gemini-flash-latest",
        help="Model that picks an action when a key is set.",
    ),
    Setting(
        name="gemini_timeout_seconds",
        default=20.0,
        help="Limit for one answer of the model, retries included.",
    ),
    Setting(
        name="gemini_base_url",
        default="",
        help="Other endpoint of the same wire format; empty: the client's own.",
    ),
    Setting(
        name="gemini_temperature",
        default=0.0,
        help="How freely the model chooses: from 0, the likeliest answer always, to 1.",
        least=0,
        most=1,
    ),
    Setting(
        name="gemini_max_tokens",
        default=32_000,
        help="Limit for one question, schema included, counted on the safe side; the least relevant actions and the "
        "oldest lines go first.",
        least=4000,
        most=1_000_000,
    ),
    Setting(
        name="gemini_hide_addresses",
        default=False,
        help="Replace private addresses by stand-ins before anything is sent to the model.",
    ),
    Setting(
        name="gemini_breaker_failures",
        default=3,
        help="Failures of the model in a row after which the embedded chooser decides.",
    ),
    Setting(
        name="gemini_breaker_seconds",
        default=300.0,
        help="How long the embedded chooser then decides before the model is asked once more.",
    ),
    Setting(
        name="gemini_price_in",
        default=0.0,
        help="Price of a million tokens that are sent, in any currency; 0: no cost is recorded.",
        least=0,
    ),
    Setting(
        name="gemini_price_out",
        default=0.0,
        help="Price of a million tokens that are answered, in the same currency.",
        least=0,
    ),
    Setting(name="api_host", default="127.0.0.1", help="Address that `healer serve` listens on."),
    Setting(name="api_port", default=8420, help="Port that `healer serve` listens on."),
    Setting(
        name="api_url",
        default="",
        help="URL under which people reach this API and dashboard, for links; empty: http://api_host:api_port.",
    ),
    Setting(
        name="api_certificate",
        default="",
        help="File with the certificate chain (PEM) that the API shows; empty: it speaks plain HTTP.",
    ),
    Setting(name="api_key", default="", help="File with the private key (PEM) of api_certificate."),
    Setting(
        name="api_proxies",
        default="",
        help="Addresses of proxies whose X-Forwarded-For and -Proto are believed: with commas; empty: of none.",
    ),
    Setting(
        name="webhook_secret_file",
        default="",
        help="File with the secret of POST /api/v1/hooks/signed; empty: signed webhooks are switched off.",
    ),
    Setting(
        name="inject_errors",
        default=False,
        help="Allow POST /api/test/inject-error; acts on lab hosts and localhost alone.",
    ),
)

_BY_NAME = {row.name: row for row in SETTINGS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, checked. Paths are absolute."""

    inventory: Path
    inventory_environment: str = ""
    state_dir: Path
    store_url: str
    playbooks_dir: Path
    roles_dir: Path
    known_hosts: Path
    ssh_config: Path
    connect_timeout_seconds: float
    poll_seconds: float
    max_parallel_healings: int
    budget_host_per_day: int = 20
    budget_action_per_day: int = 50
    budget_fleet_per_day: int = 100
    fleet_hosts_max: int = 4
    fleet_group_percent: int = 50
    fleet_sick_percent: int = 50
    fleet_sick_hosts: int = 4
    breaker_failed_percent: int = 50
    breaker_least_attempts: int = 6
    breaker_last_attempts: int = 20
    breaker_cooldown_seconds: float = 1800.0
    outbreak_hosts: int = 3
    outbreak_window_seconds: float = 120.0
    outbreak_wave_max: int = 10
    run_lease_seconds: float = 60.0
    run_renewal_seconds: float = 5.0
    drain_seconds: float = 120.0
    approval_expiry_seconds: float
    incident_expiry_seconds: float
    keep_artifacts_days: int = 90
    keep_records_days: int = 400
    artifacts_limit_mb: int = 1000
    memory_healed_times: int = 3
    gemini_model: str
    gemini_timeout_seconds: float
    gemini_base_url: str
    gemini_temperature: float = 0.0
    gemini_max_tokens: int = 32_000
    gemini_hide_addresses: bool = False
    gemini_breaker_failures: int = 3
    gemini_breaker_seconds: float = 300.0
    gemini_price_in: float = 0.0
    gemini_price_out: float = 0.0
    api_host: str
    api_port: int
    api_url: str = ""
    api_certificate: str = ""
    api_key: str = ""
    api_proxies: str = ""
    webhook_secret_file: str = ""
    inject_errors: bool
    #: From GEMINI_API_KEY or GOOGLE_API_KEY; None: the embedded chooser decides.
    gemini_api_key: Secret | None = None
    #: From HEALER_TOKEN: the bearer token of a client that has no access to the token file.
    token: Secret | None = None
    #: Environment of child processes: what they need and no secret.
    child_environment: Mapping[str, str]
    #: The same for the child that resolves the inventory: with ANSIBLE_* (config, vault password file) and
    #: with what `inventory_environment` names.
    fleet_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The `[[notify]]` tables: where people are told.
    notify: tuple[Channel, ...] = ()
    #: The environment of the child that tells them: with the way through a proxy, as `_WAY_OUT` names it.
    notify_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Where systemd listens for what its unit says of itself (NOTIFY_SOCKET); empty: not started by it.
    notify_socket: str = ""
    #: Seconds after which systemd takes a silent `healer serve` for dead (WATCHDOG_USEC); 0: it does not watch.
    watchdog_seconds: float = 0.0
    #: The config file that was read; None: defaults alone.
    config_file: Path | None = None

    @property
    def token_file(self) -> Path:
        """The API's bearer token, mode 0600, made by `healer init`."""
        return self.state_dir / "token"

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """Certificate chain and key of the API; None: plain HTTP. Relative ones are relative to the config file."""
        if not (self.api_certificate or self.api_key):
            return None
        base = self.config_file.parent if self.config_file else Path.cwd()
        certificate, key = (base / Path(name).expanduser() for name in (self.api_certificate, self.api_key))
        return certificate, key

    @property
    def fleet_limits(self) -> FleetLimits:
        """What policy allows over the whole fleet."""
        return FleetLimits(
            budget_host=self.budget_host_per_day,
            budget_action=self.budget_action_per_day,
            budget_fleet=self.budget_fleet_per_day,
            hosts_max=self.fleet_hosts_max,
            group_percent=self.fleet_group_percent,
            sick_percent=self.fleet_sick_percent,
            sick_least=self.fleet_sick_hosts,
            failed_percent=self.breaker_failed_percent,
            failed_least=self.breaker_least_attempts,
            failed_last=self.breaker_last_attempts,
            cooldown=timedelta(seconds=self.breaker_cooldown_seconds),
        )

    @property
    def artifacts_dir(self) -> Path:
        """One folder a run."""
        return self.state_dir / "artifacts"

    @property
    def database_url(self) -> str:
        """Where the store is."""
        return self.store_url or f"sqlite:///{self.state_dir / 'healer.sqlite'}"

    @property
    def worker_lock(self) -> Path:
        """Held by the one `healer serve` that works on the state directory."""
        return self.state_dir / "worker.lock"

    @property
    def engine_url(self) -> str:
        """The durable engine's own database, beside the store."""
        return f"sqlite:///{self.state_dir / 'engine.sqlite'}"


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the config file and the environment once.

    `config` wins over HEALER_CONFIG, which wins over ./healer.toml; without any of them the defaults hold.
    Raises ConfigError that names the file and the key.
    """
    env = os.environ if environ is None else environ
    path = config or (Path(env["HEALER_CONFIG"]) if env.get("HEALER_CONFIG") else None)
    if path is not None and not path.is_file():
        raise ConfigError(f"The config file {path} does not exist. `healer init` writes one.")
    if path is None and Path(CONFIG_NAME).is_file():
        path = Path(CONFIG_NAME)
    given = _read(path) if path else {}
    base = path.resolve().parent if path else Path.cwd()
    values = {row.name: _value(row, given, base, path) for row in SETTINGS}
    if values["run_lease_seconds"] < 2 * values["run_renewal_seconds"] + KILLING:
        raise ConfigError(
            f"{_place(path, 'run_lease_seconds', 'run_renewal_seconds')}: "
            f"run_lease_seconds ({values['run_lease_seconds']:g}) is too short for run_renewal_seconds "
            f"({values['run_renewal_seconds']:g}): a run that misses one renewal would be ended. Take "
            f"{2 * values['run_renewal_seconds'] + KILLING:g} or more."
        )
    if values["keep_records_days"] < max(SHORTEST_DAYS, values["keep_artifacts_days"]):
        raise ConfigError(
            f"{_place(path, 'keep_records_days', 'keep_artifacts_days')}: "
            f"keep_records_days ({values['keep_records_days']}) is too short: attempts are counted over a day, "
            f"and no run's artifacts (keep_artifacts_days, {values['keep_artifacts_days']}) outlive its record. Take "
            f"{max(SHORTEST_DAYS, values['keep_artifacts_days'])} or more."
        )
    if values["breaker_least_attempts"] > values["breaker_last_attempts"]:
        raise ConfigError(
            f"{_place(path, 'breaker_least_attempts', 'breaker_last_attempts')}: "
            f"breaker_least_attempts ({values['breaker_least_attempts']}) is above breaker_last_attempts "
            f"({values['breaker_last_attempts']}), so no breaker would ever open. Take that or less."
        )
    for name, (accepted, what) in _FORMS.items():
        if not re.fullmatch(accepted, values[name], re.ASCII):
            raise ConfigError(f"{_place(path, name)}: {name} takes {what}, got {values[name]!r}.")
    key = env.get("GEMINI_API_KEY") or env.get("GOOGLE_API_KEY")
    token = env.get("HEALER_TOKEN")
    return Settings(
        **values,
        gemini_api_key=Secret(key) if key else None,
        token=Secret(token) if token else None,
        child_environment=_child_environment(env),
        fleet_environment=_fleet_environment(env, values["inventory_environment"]),
        notify=channels.read(given.get(NOTIFY, []), env, path),
        notify_environment=_child_environment(env) | {key: env[key] for key in _WAY_OUT if key in env},
        notify_socket=env.get("NOTIFY_SOCKET", ""),
        watchdog_seconds=_microseconds(env.get("WATCHDOG_USEC", "")),
        config_file=path.resolve() if path else None,
    )


def _microseconds(text: str) -> float:
    return int(text) / 1e6 if text.isdigit() else 0.0


def _read(path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The config file {path} can't be read: {error}.") from error
    for name in given:
        if name not in _BY_NAME and name != NOTIFY:
            near = get_close_matches(name, _BY_NAME, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(_BY_NAME))}."
            raise ConfigError(f"{_place(path, name)}: there is no setting {name!r}.{hint}")
    return given


def _value(row: Setting, given: Mapping[str, Any], base: Path, path: Path | None) -> Any:
    value = given.get(row.name, row.default)
    kind = type(row.default)
    if isinstance(row.default, Path):
        if not isinstance(value, str | Path):
            raise ConfigError(f"{_place(path, row.name)}: {row.name} takes a path, got {value!r}.")
        return (base / Path(value).expanduser()).absolute()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{_place(path, row.name)}: {row.name} takes {_ACCEPTED[kind]}, got {value!r}.")
    if kind in (int, float) and not _in_range(row, value):
        raise ConfigError(f"{_place(path, row.name)}: {row.name} takes a number {_range(row)}, got {value!r}.")
    return value


def _in_range(row: Setting, value: float) -> bool:
    if not math.isfinite(value):
        return False
    return (value > 0 if row.least is None else value >= row.least) and (row.most is None or value <= row.most)


def _range(row: Setting) -> str:
    least = "above 0" if row.least is None else f"of at least {row.least:,}"
    return least if row.most is None else f"{least} and at most {row.most:,}"


def place_of(name: str, path: Path | None) -> str:
    """`FILE, line 3`, where the config file sets it; '' where it does not."""
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    # A table stands in brackets: `[fleet]`.
    found = [number for number, text in enumerate(lines, start=1) if text.partition("=")[0].strip(" \t[]") == name]
    return f"{path}, line {found[0]}" if found else ""


def _place(path: Path | None, *names: str) -> str:
    """Where the config file sets the first of them that it sets; the file where it sets none."""
    return next((place for name in names if (place := place_of(name, path))), str(path))


#: Texts that would be found wrong only once a model is asked: what they look like, and how to say it.
_FORMS = {
    "gemini_base_url": (r"|https?://[^\s/]+(?:/\S*)?", "an address such as https://gemini.example.com/, or none"),
    "gemini_model": (r"[\w./-]+", "a model's name, such as gemini-flash-latest"),
}

_ACCEPTED = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}

#: What ssh, Ansible and journal readers need. Keys, tokens and the rest of the caller's environment stay out.
_CHILD_KEYS = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "TZ",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "TMPDIR",
)

#: How programs that speak HTTP find a proxy and the certificates of their own site.
_WAY_OUT = (
    *("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)


def _child_environment(env: Mapping[str, str]) -> dict[str, str]:
    child = {key: env[key] for key in _CHILD_KEYS if key in env}
    child.setdefault("LANG", "C.UTF-8")
    return child


def _fleet_environment(env: Mapping[str, str], names: str) -> dict[str, str]:
    wanted = set(names.replace(",", " ").split())
    given = {key: value for key, value in env.items() if key in wanted or key.startswith("ANSIBLE_")}
    return _child_environment(env) | given


def describe() -> tuple[str, ...]:
    """Names of all settings, in order: the docs test compares them with docs/settings.md."""
    names = {row.name for row in fields(Settings)}
    return tuple(row.name for row in SETTINGS if row.name in names)


#: Tables end a TOML file.
_EXAMPLE_NOTIFY = (
    "# Where people are told, one table a channel; docs/notifications.md. It stands at the end of the file.",
    "#[[notify]]",
    '#name = "ops"',
    '#url_env = "HEALER_NOTIFY_OPS"',
    '#events = ["store", "approval", "stopped", "escalated", "lapsed"]',
)


def example() -> str:
    """The text of a healer.toml in which every setting stands with its default, commented out."""
    lines = ["# healing-bot's settings. Policy (what may be done on which host) is inventory variables instead."]
    for row in SETTINGS:
        shown = str(row.default).lower() if isinstance(row.default, bool) else row.default
        quoted = f'"{shown}"' if isinstance(row.default, str | Path) else shown
        if row.name in ("playbooks_dir", "roles_dir"):
            quoted = f'"/path/to/{row.name.removesuffix("_dir")}"'
        lines += ["", f"# {row.help}", f"#{row.name} = {quoted}"]
    lines += ["", *_EXAMPLE_NOTIFY]
    return "\n".join(lines) + "\n"
