"""The fleet's port: hosts as Ansible resolves them, read once and kept until asked to read again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from orchestrator.domain.hosts import Host
from orchestrator.errors import InventoryError
from orchestrator.fleet.variables import build_host
from orchestrator.settings import HOME

#: Ansible options that hold in the child, whatever ansible.cfg says.
_FORCED = {
    # A source that does not parse is an error, not a smaller fleet.
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    # Hosts write the fact cache; what a host says of itself must never count as inventory or policy.
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
}

#: Seconds after which it is read again though no file changed: 0.2 % of a core.
REREAD_SECONDS = 300.0
#: Files that are looked at for changes; a folder with more is no inventory.
FILES_MAX = 10_000

#: How many problems one error lists, and how many hosts that have the same one; the rest is counted.
_LISTED, _NAMED = 5, 3


class InventoryFleet:
    """Implements `ports.Fleet`; safe to use from several threads.

    `environment` is `Settings.fleet_environment`. `timeout`, in seconds, is for one reading of the whole
    inventory, plugins included. `actions` are the catalogue's ids: with them, `healing_actions` may name
    nothing else. All errors are InventoryError and name the inventory, and the host and variable if it
    is about one.
    """

    def __init__(
        self,
        inventory: Path,
        environment: Mapping[str, str],
        *,
        timeout: float = 60.0,
        actions: Collection[str] | None = None,
    ) -> None:
        self._inventory = inventory.absolute()
        self._environment = dict(environment)
        self._timeout = timeout
        self._actions = actions
        self._hosts: dict[str, Host] | None = None
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._read_at = 0.0
        self._lock = threading.Lock()

    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in the inventory's order; at least one."""
        return tuple(self._known().values())

    def host(self, name: str) -> Host:
        """The host of exactly this name."""
        known = self._known()
        if name in known:
            return known[name]
        near = get_close_matches(name, known, n=3)
        listed = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
        hint = f"Did you mean {' or '.join(near)}?" if near else f"It has: {listed}."
        raise InventoryError(f"The inventory {self._inventory} has no host {name!r}. {hint}")

    def refresh(self) -> bool:
        """Read again if a file of it changed, or after REREAD_SECONDS, since plugins may read from elsewhere.

        Returns whether it was read. Raises InventoryError once for each change that can't be read; what was read
        before stays.
        """
        seen, now = self._files(), time.monotonic()
        with self._lock:
            if self._hosts is None or (seen == self._seen and now - self._read_at < REREAD_SECONDS):
                return False
            self._seen, self._read_at = seen, now
        self.reload()
        return True

    def _files(self) -> frozenset[tuple[str, int, int]]:
        """Path, time and size of what Ansible reads for it: the source, and group_vars and host_vars beside it."""
        folder = self._inventory if self._inventory.is_dir() else self._inventory.parent
        trees = [folder] if self._inventory.is_dir() else [folder / "group_vars", folder / "host_vars"]
        found = [self._inventory, *(path for tree in trees for path in tree.rglob("*"))]
        known = set()
        for path in found[:FILES_MAX]:
            try:
                status = path.stat()
            except OSError:
                continue
            known.add((str(path), status.st_mtime_ns, status.st_size))
        return frozenset(known)

    def reload(self) -> tuple[Host, ...]:
        """Read again. Where that fails it raises, and what was read before stays."""
        hosts = self._read()
        with self._lock:
            self._hosts = hosts
            return tuple(hosts.values())

    def _known(self) -> dict[str, Host]:
        with self._lock:
            if self._hosts is None:
                self._seen, self._read_at = self._files(), time.monotonic()
                self._hosts = self._read()
            return self._hosts

    def _read(self) -> dict[str, Host]:
        if not self._inventory.exists():
            raise InventoryError(
                f"The inventory {self._inventory} does not exist. Set `inventory` in healer.toml, "
                "or let `healer init` write an example."
            )
        document = self._ask()
        if "error" in document:
            raise InventoryError(
                f"Ansible can't read the inventory {self._inventory}: {document['error']}. "
                f"`ansible-inventory -i {self._inventory} --list` shows the same."
            )
        hosts: dict[str, Host] = {}
        # What is wrong -> the hosts that have it wrong: a group's variable is many hosts'.
        problems: dict[str, list[str]] = {}
        for entry in document["hosts"]:
            try:
                for error in entry["errors"]:
                    said = (
                        f"{error['variable']} can't be resolved: {_with_hint(error['message'])}"
                        f"{_set_in(entry['origins'], error['variable'])}"
                    )
                    problems.setdefault(said, []).append(entry["name"])
                if not entry["errors"]:
                    hosts[entry["name"]] = build_host(
                        entry["name"],
                        entry["groups"],
                        entry["variables"],
                        actions=self._actions,
                        origins=entry["origins"],
                    )
            except InventoryError as refusal:
                said = str(refusal).removeprefix(f"{entry['name']}: ").rstrip(".")
                problems.setdefault(said, []).append(entry["name"])
        if problems:
            listed = [f"{_named(names)}: {said}" for said, names in problems.items()][:_LISTED]
            more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
            raise InventoryError(f"{'; '.join(listed)}{more}. (Inventory {self._inventory}.)")
        if not hosts:
            raise InventoryError(
                f"The inventory {self._inventory} lists no host. Add one, such as `web1 ansible_host=192.0.2.10`."
            )
        return hosts

    def _ask(self) -> dict[str, Any]:
        """The child's document. Its own process group, so that a hanging plugin leaves nothing behind."""
        # PYTHONPATH: the child must find this very package, wherever it was started; -P: and nothing else in
        # the working directory.
        environment = self._environment | _FORCED | {"PYTHONPATH": str(HOME)}
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.fleet.resolve", str(self._inventory)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            try:
                out, err = child.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                raise InventoryError(
                    f"Ansible did not resolve the inventory {self._inventory} within {self._timeout:g} s: "
                    "an inventory plugin, script or lookup hangs."
                ) from error
            finally:
                # After a timeout and after an interrupt alike, with the scripts that it started.
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
        try:
            document = json.loads(out)
        except ValueError as error:
            last = err.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise InventoryError(
                f"Ansible ended without an answer on the inventory {self._inventory} "
                f"(exit code {child.returncode}): {last[0]}."
            ) from error
        return dict(document)


def _named(hosts: Sequence[str]) -> str:
    """`web1, web2, web3 and 4 more`."""
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    return f"{', '.join(hosts[:_NAMED])}{more}"


def _set_in(origins: Mapping[str, str], variable: str) -> str:
    return f" (set in {origins[variable]})" if variable in origins else ""


def _with_hint(message: str) -> str:
    """Ansible's words, with the way out where they name none."""
    if "vault" not in message.lower():
        return message
    return f"{message} (set ANSIBLE_VAULT_PASSWORD_FILE, or vault_password_file in ansible.cfg, for healer)"
