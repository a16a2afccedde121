"""The files of one lab: keys, known_hosts, inventory, and what it remembers between commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.inventory import inventory_text
from lab.keys import ensure_key, known_hosts_lines, write


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a lab is meant to be; its file is `lab.json`."""

    #: The /24 of its network.
    subnet: str
    hosts: tuple[str, ...]
    #: Variables of the inventory's group, and of single hosts.
    variables: Mapping[str, Any] = field(default_factory=dict)
    host_variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Files:
    """The folder of one lab; nothing of the lab lies elsewhere but what the machine itself must hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yml"
        self.key = folder / "key"
        self.known_hosts = folder / "known_hosts"
        self._memory = folder / "lab.json"

    def of_host(self, host: str) -> Path:
        """What the host sees, read-only, as its /etc/lab."""
        return self.folder / "hosts" / host

    def recall(self) -> Memory | None:
        """What was written last; None for a lab that is down. Raises LabError if the file is damaged."""
        if not self._memory.exists():
            return None
        try:
            given = json.loads(self._memory.read_text(encoding="utf-8"))
            return Memory(**{**given, "hosts": tuple(given["hosts"])})
        except (ValueError, TypeError, KeyError) as error:
            raise LabError(f"{self._memory} is damaged: remove it, then `healer lab up` starts afresh.") from error

    def write(self, memory: Memory, addresses: Mapping[str, str], comment: str) -> None:
        """All files, for host -> address. Before any container, so that a cut-off can be repaired from them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        login = ensure_key(self.key, comment)
        names = "127.0.0.1 localhost\n" + "".join(f"{address} {host}\n" for host, address in addresses.items())
        known = {}
        for host, address in addresses.items():
            folder = self.of_host(host)
            folder.mkdir(parents=True, exist_ok=True)
            known[host] = (address, ensure_key(folder / "ssh_host_ed25519_key", host))
            write(folder / "authorized_keys", f"{login}\n")
            write(folder / "hosts", names)
        write(self.known_hosts, known_hosts_lines(known), mode=0o600)
        text = inventory_text(
            addresses,
            key=self.key,
            known_hosts=self.known_hosts,
            variables=memory.variables,
            host_variables=memory.host_variables,
        )
        write(self.inventory, text, mode=0o600)
        write(self._memory, json.dumps(asdict(memory), indent=2), mode=0o600)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
