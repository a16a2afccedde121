"""Wires settings to real parts. The only file that knows which adapter stands behind a port.

Heavy clients are imported inside the functions that first need them, to keep the command line's start and
memory small.
"""

from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator import choosers, locks, looks, telling
from orchestrator import settings as settings_module
from orchestrator.domain.exchanges import Usage
from orchestrator.domain.gauges import Gauges
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Signature
from orchestrator.domain.notices import Told
from orchestrator.domain.precedents import Precedents
from orchestrator.domain.runs import RunStatus
from orchestrator.errors import ConfigError, HealingError, Interrupted, StoreUnavailable
from orchestrator.fleet.inventory import InventoryFleet
from orchestrator.ports import Check, Store
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.backtest.replay import Difference
    from orchestrator.backtest.score import Answered
    from orchestrator.domain.actions import Action
    from orchestrator.fleet.trust import ScannedKey
    from orchestrator.record.store import SqlStore
    from orchestrator.worker import Worker

#: What the kernel says of a process that nobody's login started.
NO_LOGIN = 2**32 - 1
#: A worker beats every second; one that has been silent for this long is not there.
WORKER_SILENCE = timedelta(seconds=15)
#: Seconds between two looks of a worker whether retention is due.
TIDY = 60.0
#: Seconds between two looks of a channel into the ledger.
TELL = 1.0
#: Characters of a webhook's secret at least.
SECRET_MIN = 32


def settings(config: Path | None) -> Settings:
    """Settings for this process. Raises ConfigError."""
    return settings_module.load(config)


def actor() -> str:
    """Who types, for the ledger: who logged in, which the kernel keeps through sudo, else whose process it is.

    Never what the environment says: anybody can set LOGNAME.
    """
    try:
        login = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        login = NO_LOGIN
    uid = os.getuid() if login == NO_LOGIN else login
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli:{uid}"


def open_record(loaded: Settings, *, working: bool = False) -> SqlStore:
    """The store, made if missing, and upgraded if no worker is at work on it; `working`: we are the one.

    Raises ConfigError for one that is or must not be touched (see record.store), RecordError, StoreUnavailable.
    """
    from orchestrator.record import mounts
    from orchestrator.record.store import lock_of, open_store  # SQLAlchemy is half of a command's start

    mounts.require_local(loaded.state_dir)
    # A worker of version 1 holds the lock of its state_dir alone.
    others = () if working else (lock_of(loaded.database_url),)
    return open_store(loaded.database_url, workers=(loaded.worker_lock, *others))


def record_if_any(loaded: Settings) -> SqlStore | None:
    """The store, for who only asks: where there is none, none is made. Raises as open_record."""
    from orchestrator.record.database import path_of

    return open_record(loaded) if path_of(loaded.database_url).exists() else None


def fleet(loaded: Settings, actions: Collection[str] | None = None) -> InventoryFleet:
    """The inventory. Raises InventoryError when hosts are first asked for.

    `actions` are the catalogue's ids: with them `healing_actions` may name nothing else, as in `healer serve`.
    """
    return InventoryFleet(loaded.inventory, loaded.fleet_environment, actions=actions)


def explainer(loaded: Settings) -> Callable[[Iterable[str], datetime], Iterator[dict[str, Any]]]:
    """What `healer explain` asks: lines and the time -> one answer a line. Acts on nothing."""
    from orchestrator import catalog
    from orchestrator.explain import explain

    actions = catalog.load(loaded.playbooks_dir, loaded.roles_dir)
    known = fleet(loaded, actions.actions) if loaded.inventory.exists() else None

    def answer(lines: Iterable[str], now: datetime) -> Iterator[dict[str, Any]]:
        asked = choosers.remembering(loaded, _past(loaded))
        return explain(lines, catalog=actions, chooser=asked, fleet=known, now=now)

    return answer


def _past(loaded: Settings) -> Callable[[Signature], Precedents]:
    """What memory knows, for who only asks."""
    store = record_if_any(loaded)
    return cache(store.precedents) if store else lambda signature: Precedents(signature=signature)


def trial(
    loaded: Settings, file: Path, *, cross_validate: bool, prompt: Path | None = None
) -> tuple[tuple[Answered, ...], tuple[Answered, ...]]:
    """Answers to the labelled cases of a file, and the cross-validated ones where they are asked for.

    Raises ConfigError, CatalogError.
    """
    from orchestrator import catalog
    from orchestrator.backtest import cases
    from orchestrator.backtest import trial as trials

    actions, now = catalog.load(loaded.playbooks_dir, loaded.roles_dir), datetime.now(UTC)
    found = cases.read(file, actions.actions)
    plain = trials.tried(found, actions, choosers.chooser(loaded, prompt=prompt), now)
    return plain, trials.crossed(found, actions, now) if cross_validate else ()


def replayed(loaded: Settings, since: datetime, prompt: Path | None = None) -> list[Difference]:
    """Every incident that was decided since then, as it would be decided now.

    Raises ConfigError without a store, and InventoryError where the policy to judge by can't be read.
    """
    from orchestrator import catalog
    from orchestrator.backtest.replay import replay
    from orchestrator.record.database import path_of

    path = path_of(loaded.database_url)
    if not path.exists():
        raise ConfigError(f"There is no store at {path}, so nothing is on record that could be replayed.")
    actions = catalog.load(loaded.playbooks_dir, loaded.roles_dir)
    known, store = fleet(loaded, actions.actions), open_record(loaded)
    known.hosts()
    return list(replay(store, since, catalog=actions, chooser=choosers.chooser(loaded, prompt=prompt), fleet=known))


def whitelist(loaded: Settings) -> tuple[Action, ...]:
    """Every action. Raises CatalogError."""
    from orchestrator import catalog  # its checks of files cost 0.2 s

    return tuple(catalog.load(loaded.playbooks_dir, loaded.roles_dir).actions.values())


def worker(loaded: Settings) -> Worker:
    """The worker with all its real parts; nothing is started. Raises ConfigError, CatalogError, InventoryError.

    Nothing is touched where another one works on the same store, or somebody else could change what a run is made of.
    """
    from orchestrator.act import permissions
    from orchestrator.record import mounts
    from orchestrator.record.store import lock_of

    record = lock_of(loaded.database_url)
    for path in (loaded.state_dir, record):
        mounts.require_local(path)
    permissions.require(loaded)
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = locks.hold(
        record,
        f"Another healer serve (pid {{pid}}) works on the store {record.with_suffix('')}. Stop it first, or give this "
        "one its own state_dir and store_url.",
    )
    try:
        return _worker(loaded, lock)
    except BaseException:
        lock.close()
        raise


def _worker(loaded: Settings, lock: IO[bytes]) -> Worker:
    from orchestrator import catalog
    from orchestrator.act.executor import RunnerExecutor
    from orchestrator.collect.connection import Connections
    from orchestrator.collect.follow import SshCollector
    from orchestrator.collect.probe import SshProbe
    from orchestrator.detect.detector import Detector
    from orchestrator.engine import DurableEngine
    from orchestrator.healing import Healing
    from orchestrator.notify.alarm import StoreAlarm
    from orchestrator.record.tidy import Limits, Tidy
    from orchestrator.steps import Rooms
    from orchestrator.waves import Waves
    from orchestrator.worker import SWEEP, Worker

    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, actions = open_record(loaded, working=True), catalog.load(loaded.playbooks_dir, loaded.roles_dir)
    hosts = fleet(loaded, actions.actions)
    hosts.hosts()
    connections = Connections(loaded)
    probe, ended = SshProbe(connections), threading.Event()

    def pause(seconds: float) -> None:
        if ended.wait(seconds):
            raise Interrupted

    executor = RunnerExecutor(loaded, store, probe, hosts, pause)
    held: dict[str, Any] = {}
    engine = DurableEngine(
        loaded.engine_url,
        loaded.worker_lock,
        {
            "plan": lambda argument: held["healing"].plan(argument),
            "ask": lambda argument: held["healing"].ask(argument),
            "apply": lambda argument: held["healing"].apply(argument),
            "hold": lambda argument: held["healing"].hold(argument),
            "rollback": lambda argument: held["healing"].rollback(argument),
            "wave": lambda argument: held["waves"].wave(argument),
            "look": lambda argument: held["worker"].look(argument),
        },
        loaded.max_parallel_healings,
    )
    notifier = telling.notifier(loaded, store, hosts, ended.is_set)
    away = choosers.breaker(loaded)
    rooms = Rooms(
        settings=loaded,
        engine=engine,
        store=store,
        fleet=hosts,
        catalog=actions,
        detector=Detector(tuple(actions.actions.values())),
        chooser=choosers.remembering(loaded, store.precedents, store.record_exchange, away),
        probe=probe,
        executor=executor,
        notifier=notifier,
        alarm=StoreAlarm(notifier),
        now=lambda: datetime.now(UTC),
        wait=ended.wait,
        gauges=lambda: Gauges(
            model_away=None if loaded.gemini_api_key is None else away.is_open,
            notices_held=dict(teller.held for teller in notifier.tellers),
        ),
    )
    healing = held["healing"] = Healing(rooms)
    waves = held["waves"] = Waves(rooms, healing)
    limits = Limits(
        artifacts_days=loaded.keep_artifacts_days,
        records_days=loaded.keep_records_days,
        artifacts_bytes=loaded.artifacts_limit_mb * 10**6,
    )
    tidy = Tidy(store, loaded.artifacts_dir, limits, forget=engine.forget, now=rooms.now, pause=pause)

    def close() -> None:
        # Connections first: a step that waits for a host ends by it, and is run again at the next start.
        connections.close()
        engine.close()
        lock.close()

    made: Worker = Worker(
        rooms,
        SshCollector(loaded, connections),
        healing,
        settle=executor.settle,
        launch=engine.launch,
        close=close,
        refresh=hosts.refresh,
        ended=ended,
    )
    made.regularly(TIDY, tidy.when_due)
    made.regularly(SWEEP, waves.sweep)
    for teller in notifier.tellers:
        made.regularly(TELL, teller.turn)
    held["worker"] = made
    return made


def token(loaded: Settings) -> str:
    """The API's bearer token, made with mode 0600 where `healer init` has not been run."""
    import secrets

    if not loaded.token_file.exists():
        loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        loaded.token_file.touch(mode=0o600)
        loaded.token_file.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    if loaded.token_file.stat().st_mode & 0o077:
        raise ConfigError(f"{loaded.token_file} can be read by others. chmod 600 {loaded.token_file}")
    return loaded.token_file.read_text(encoding="utf-8").strip()


def require_access(loaded: Settings) -> None:
    """Raises ConfigError where what the API's settings say can't be, or would send tokens about in the clear."""
    from orchestrator import access

    access.require_url(loaded.api_url)
    access.require_proxies(loaded.api_proxies)
    access.require_tls(loaded.tls_files)
    open_to_others = not access.is_loopback(loaded.api_host)
    if open_to_others and loaded.tls_files is None and not loaded.api_url.startswith("https://"):
        raise ConfigError(
            f"api_host is {loaded.api_host}, which others reach, and tokens would go there in the clear. Set "
            "api_certificate and api_key; or api_url to the https:// URL of the proxy in front; or leave api_host at "
            "127.0.0.1 and reach it through ssh -L. Nothing was started."
        )


def webhook_secret(loaded: Settings) -> str:
    """Of signed webhooks; '': they are switched off. Raises ConfigError for a file that can't be used."""
    if not loaded.webhook_secret_file:
        return ""
    base = loaded.config_file.parent if loaded.config_file else Path.cwd()
    path = base / Path(loaded.webhook_secret_file).expanduser()
    try:
        secret = path.read_text(encoding="utf-8").strip()
        open_to_others = path.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"webhook_secret_file: {path} can't be read: {error}.") from error
    if open_to_others:
        raise ConfigError(f"webhook_secret_file: {path} can be read by others. chmod 600 {path}")
    if len(secret) < SECRET_MIN:
        raise ConfigError(f"webhook_secret_file: {path} holds less than {SECRET_MIN} characters. openssl rand -hex 32")
    return secret


def require_reason(why: str) -> None:
    """Raises ConfigError for an empty one."""
    if not why.strip():
        raise ConfigError("--reason is required: say why in a few words.")


def require_worker(loaded: Settings, store: Store) -> None:
    """Raises StoreUnavailable where no worker is alive: one holds its lock and beats."""
    seen = store.worker_seen()
    silent = seen is None or datetime.now(UTC) - seen > WORKER_SILENCE
    if silent or not locks.is_locked(loaded.worker_lock):
        raise StoreUnavailable("No healer serve is running here, so nothing would act. Start it: healer serve.")


def look(loaded: Settings, host: str) -> int:
    """As looks.ask, of the live worker. Raises StoreUnavailable at once where none is alive."""
    store, hosts = open_record(loaded), fleet(loaded)
    require_worker(loaded, store)
    hosts.host(host)
    from orchestrator.engine import EngineClient

    client = EngineClient(loaded.engine_url)
    try:
        return looks.ask(store, hosts, client, host, actor())
    finally:
        client.close()


def cancel_runs(loaded: Settings) -> list[str]:
    """End every playbook that runs now; their hosts are looked at before they are touched again."""
    from orchestrator.act.executor import RunnerExecutor
    from orchestrator.collect.connection import Connections
    from orchestrator.collect.probe import SshProbe

    store, connections = open_record(loaded), Connections(loaded)
    executor = RunnerExecutor(loaded, store, SshProbe(connections), fleet(loaded))
    running = [run for run in store.shut_runs() if run.status is RunStatus.RUNNING]
    for run in running:
        executor.cancel(run.id)
    connections.close()
    store.close()
    return [run.id for run in running]


def scan_keys(
    loaded: Settings, names: Sequence[str]
) -> Iterator[tuple[Host, tuple[ScannedKey, ...], HealingError | None]]:
    """The keys that hosts show now, as each answers, with how they stand to known_hosts; or why it shows none."""
    from orchestrator.fleet import trust

    known = fleet(loaded)
    for host in [known.host(name) for name in names] if names else list(known.hosts()):
        if host.connection.kind != "ssh":
            continue
        try:
            keys = trust.scan(
                host,
                loaded.known_hosts,
                ssh_config=loaded.ssh_config,
                environment=loaded.child_environment,
                timeout=loaded.connect_timeout_seconds,
            )
        except HealingError as error:
            yield host, (), error
        else:
            yield host, keys, None


def enrol_keys(loaded: Settings, host: Host, keys: Sequence[ScannedKey], *, replace: bool) -> None:
    """Write keys into the known_hosts that paramiko and Ansible's ssh use for the host."""
    from orchestrator.fleet import trust

    trust.enrol(host, keys, loaded.known_hosts, replace=replace)


def examine(loaded: Settings) -> Iterator[Check]:
    """Everything that `healer doctor` says, as it becomes known."""
    from orchestrator.collect.connection import Connections
    from orchestrator.collect.doctor import examine

    def tried(name: str, function: Callable[[], str]) -> Check:
        # An error's own sentence says what to do.
        try:
            return Check(name=name, ok=True, text=function(), fix="")
        except HealingError as error:
            return Check(name=name, ok=False, text=str(error), fix="")

    ids: list[str] = []

    def known_actions() -> str:
        actions = whitelist(loaded)
        ids.extend(action.id for action in actions)
        return f"{counted(len(actions), 'action')}: {', '.join(ids)}"

    def recorded() -> str:
        from orchestrator.record.schema import VERSION

        open_record(loaded).statistics()
        return f"{loaded.database_url.split('@')[-1]} answers, version {VERSION}"

    yield Check(
        name="config",
        ok=True,
        text=str(loaded.config_file) if loaded.config_file else "defaults (no healer.toml here)",
        fix="",
    )
    yield tried("store", recorded)
    yield tried("playbooks", known_actions)
    yield Check(
        name="chooser",
        ok=True,
        text=choosers.described(loaded, _usage(loaded)),
        fix="",
    )
    # Where the catalogue can't be read, its own line has said so.
    known = fleet(loaded, ids or None)
    yield from telling.checks(loaded, _told(loaded))
    inventory = tried("inventory", lambda: f"{counted(len(known.hosts()), 'host')} in {loaded.inventory}")
    yield inventory
    if not inventory.ok:
        return
    connections = Connections(loaded)
    try:
        for host in known.hosts():
            yield from examine(connections, host)
    finally:
        connections.close()


def _told(loaded: Settings) -> Callable[[str], Told | None]:
    """How far each channel to people has come; None of any where the store does not say."""
    try:
        return open_record(loaded).told
    except HealingError:
        return lambda channel: None


def _usage(loaded: Settings) -> Usage | None:
    """What models were asked in the last 24 hours; None where the store does not say: it has a line of its own."""
    try:
        return open_record(loaded).model_usage(datetime.now(UTC) - timedelta(days=1))
    except HealingError:
        return None


def counted(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
