"""A lab: its hosts from up to down."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from lab import machine
from lab.errors import LabError
from lab.faults import find_fault
from lab.files import Files, Memory
from lab.image import ensure_image
from lab.network import MOST_HOSTS, Network, host_address
from lab.podman import Container, Podman
from lab.readiness import wait_until_ready

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_HOST = re.compile(r"web([1-9][0-9]{0,2})")


@dataclass(frozen=True, kw_only=True)
class LabHost:
    """One host of a lab."""

    name: str
    address: str
    container: str
    #: `running`, `stopped` or `missing`.
    state: str


def _silent(sentence: str) -> None:
    """The default listener."""


class Lab:
    """A named fleet. Labs of different names never meet; all files of this one lie in `state_dir`/`name`.

    `say` hears, in sentences, what takes long or changes the machine. Every method raises LabError.
    """

    def __init__(self, name: str, state_dir: Path, *, say: machine.Say = _silent) -> None:
        if not _NAME.fullmatch(name):
            raise LabError(
                f"{name!r} is no name for a lab: use up to 40 small letters, digits and hyphens, "
                "beginning with a letter."
            )
        self.name = name
        self._files = Files(state_dir.absolute() / name)
        self._say = say
        self._podman = Podman()
        self._network = Network(name)
        self.inventory = self._files.inventory
        self.key = self._files.key
        self.known_hosts = self._files.known_hosts

    def up(
        self,
        hosts: int,
        *,
        variables: Mapping[str, Any] | None = None,
        host_variables: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[LabHost]:
        """Bring up hosts web1 .. web`hosts`, keep what runs, repair what a cut-off left.

        Returns when every host's systemd has finished booting and its sshd answers. Variables go to the
        inventory; None keeps those of the last time.
        """
        if not 1 <= hosts <= MOST_HOSTS:
            raise LabError(f"A lab has 1 to {MOST_HOSTS} hosts, not {hosts}.")
        machine.require_programs()
        with machine.lock(self._say):
            self._claim()
            machine.register(self.name, self._files.folder)
            image = ensure_image(self._podman, self._say)
            before, found = self._files.recall(), self._usable_containers()
            subnet = self._network.prepare(IPv4Network(before.subnet) if before else None)
            named = {f"web{number + 1}" for number in range(hosts)} | set(before.hosts if before else ())
            memory = Memory(
                subnet=str(subnet),
                hosts=tuple(sorted(named, key=_number)),
                variables=_kept(variables, before.variables if before else {}),
                host_variables=_kept(host_variables, before.host_variables if before else {}),
            )
            self._files.write(memory, _addresses(memory), f"healing-lab {self.name}")
            others = [one for one in self._podman.containers() if one.lab != self.name]
            machine.make_room_for(len(others) + len(memory.hosts), self._say)
            self._boot(memory, found, image)
        return self.status()

    def down(self) -> None:
        """Remove every trace: hosts, network, files; with the last lab also namespace and kernel limit."""
        with machine.lock(self._say):
            machine.require_programs()
            self._claim()
            _remove(self.name, self._podman)
            self._files.remove()
            _leave(self._podman, self._say)

    def status(self) -> list[LabHost]:
        """The hosts of the last `up` as they are now; an empty list for a lab that is down."""
        memory = self._files.recall()
        if memory is None:
            self._not_elsewhere()
            return []
        self._podman.open()
        found = {one.host: one for one in self._podman.containers(self.name)}
        return [self._host(name, memory, found.get(name)) for name in memory.hosts]

    def halt(self, host: str) -> None:
        """Shut one host down in order, as a reboot begins; `boot` brings it back."""
        self._known(host)
        self._podman.run("stop", "--time", "10", self._container(host), timeout=60)

    def boot(self, host: str) -> None:
        """Start a host that was halted, with what is on its disk; returns once its sshd answers."""
        memory = self._known(host)
        with machine.lock(self._say):
            found = {one.host: one for one in self._podman.containers(self.name)}
            self._boot(replace(memory, hosts=(host,)), found, ensure_image(self._podman, self._say))

    def break_(self, fault: str, host: str) -> None:
        """Break a host; returns once the fault's error is in the host's journal."""
        script = find_fault(fault).text()
        answer = self._in_host(host, ["sh", "-s"], timeout=90, stdin=script)
        if answer.returncode:
            raise LabError(f"The fault {fault} did not take on {host}: {answer.stderr.strip()[-600:]}")

    def execute(self, host: str, command: str, *, check: bool = True, timeout: float = 30) -> CompletedProcess[str]:
        """Run a shell command as root on a host, past SSH; `check` raises LabError if it fails."""
        answer = self._in_host(host, ["sh", "-c", command], timeout=timeout)
        if check and answer.returncode:
            words = (answer.stderr.strip() or answer.stdout.strip())[-600:]
            raise LabError(f"`{command}` failed on {host} with code {answer.returncode}: {words}")
        return answer

    def _in_host(
        self, host: str, command: list[str], *, timeout: float, stdin: str | None = None
    ) -> CompletedProcess[str]:
        self._known(host)
        entry = ["exec", *(["--interactive"] if stdin is not None else []), self._container(host)]
        return self._podman.run(*entry, *command, timeout=timeout, check=False, stdin=stdin)

    def _known(self, host: str) -> Memory:
        memory = self._files.recall()
        if memory is None:
            self._not_elsewhere()
            raise LabError(f"The lab {self.name!r} is down; bring it up with: healer lab up --name {self.name}")
        if host not in memory.hosts:
            raise LabError(f"There is no host {host!r} in the lab {self.name!r}: {', '.join(memory.hosts)}.")
        return memory

    def _not_elsewhere(self) -> None:
        folder = machine.registered().get(self.name)
        if folder not in (None, self._files.folder) and machine.exists(folder):
            raise LabError(
                f"The lab {self.name!r} is up and belongs to {folder}: go there, or give --state-dir {folder.parent}."
            )

    def _claim(self) -> None:
        """Open podman, remove labs whose folder is gone, and make sure that this name is not another folder's."""
        self._podman.open()
        containers = self._podman.containers()
        labs = {**{one.lab: one.folder for one in containers}, **machine.registered()}
        for name, folder in labs.items():
            if not machine.exists(folder):
                _remove(name, self._podman)
            elif name == self.name and folder != self._files.folder:
                raise LabError(
                    f"A lab named {name!r} is up already and belongs to {folder}: choose another --name, "
                    f"or take it down with --state-dir {folder.parent}."
                )

    def _usable_containers(self) -> dict[str, Container]:
        """This lab's containers by host, without those that a cut-off broke for good: they are removed."""
        found = self._podman.containers(self.name)
        usable = {
            one.host: one
            for one in found
            if (one.running or one.startable) and (self._files.of_host(one.host) / "authorized_keys").exists()
        }
        self._podman.remove([one.name for one in found if one.host not in usable])
        return usable

    def _boot(self, memory: Memory, found: Mapping[str, Container], image: str) -> None:
        def start(host: str) -> None:
            container = found.get(host)
            if container is None or not (container.running or self._podman.start_again(container)):
                self._podman.start_host(
                    name=self._container(host),
                    lab=self.name,
                    host=host,
                    image=image,
                    folder=self._files.folder,
                )

        def ready(host: str) -> None:
            if host not in alive:
                raise LabError(f"The host {host} did not stay up; look with: podman logs {self._container(host)}")
            self._network.plug(_number(host), alive[host].pid, subnet)
            wait_until_ready(host, alive[host].pid, str(host_address(subnet, _number(host))))

        subnet = IPv4Network(memory.subnet)
        _each(start, memory.hosts)
        alive = {one.host: one for one in self._podman.containers(self.name) if one.running}
        _each(ready, memory.hosts)

    def _host(self, name: str, memory: Memory, container: Container | None) -> LabHost:
        state = "missing" if container is None else "running" if container.running else "stopped"
        return LabHost(name=name, address=_addresses(memory)[name], container=self._container(name), state=state)

    def _container(self, host: str) -> str:
        return f"healing-lab-{self.name}-{host}"


def prepare_image(say: machine.Say = _silent) -> str:
    """Make the hosts' image unless there is one, without a lab; returns its name. Raises LabError."""
    machine.require_programs()
    podman = Podman()
    with machine.lock(say):
        podman.open()
        try:
            return ensure_image(podman, say)
        finally:
            _leave(podman, say)


def _remove(lab: str, podman: Podman) -> None:
    """A lab's hosts, network and claim on the machine; its folder is the caller's."""
    podman.remove([one.name for one in podman.containers(lab)])
    Network(lab).remove()
    machine.unregister(lab)


def _leave(podman: Podman, say: machine.Say) -> None:
    """What the last lab does as it goes."""
    if not machine.registered() and not podman.containers():
        podman.close()
        machine.restore(say)


def _number(host: str) -> int:
    match = _HOST.fullmatch(host)
    if match is None:
        raise LabError(f"{host!r} is no host of a lab; they are called web1, web2 and so on.")
    return int(match[1])


def _addresses(memory: Memory) -> dict[str, str]:
    subnet = IPv4Network(memory.subnet)
    return {host: str(host_address(subnet, _number(host))) for host in memory.hosts}


def _kept(given: Mapping[str, Any] | None, before: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(before if given is None else given)


def _each(function: Callable[[str], None], hosts: Iterable[str]) -> None:
    """Call for every host, a few at a time: booting is work for the processor, waiting is not."""
    with ThreadPoolExecutor(max_workers=4 * (os.cpu_count() or 1)) as pool:
        for _ in pool.map(function, hosts):
            pass
