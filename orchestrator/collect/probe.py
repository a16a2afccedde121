"""Read-only questions to one host over collect's connection."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from orchestrator.collect import inspection, passes
from orchestrator.collect.connection import Connections
from orchestrator.collect.echo import Echoes
from orchestrator.domain.hosts import Host
from orchestrator.domain.ids import Cursor, RunId
from orchestrator.domain.records import LogRecord
from orchestrator.domain.verdicts import Facts
from orchestrator.errors import HostAuthRefused, HostTimeout, HostUnreachable

#: Seconds for one question.
_LIMIT = 30.0
_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class SshProbe:
    """ports.Probe over SSH, and over child processes for local hosts."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def inspect(self, host: Host, units: Sequence[str], paths: Sequence[str]) -> Facts:
        """What systemd and the file system say, as root where the inventory allows it.

        Raises TemporaryError (an answer that is not understood too), HostKeyMismatch, HostAuthRefused.
        """
        link = self._connections.get(host)
        answer = link.run(inspection.build_script(units, paths), root=host.connection.become, timeout=_LIMIT)
        self._refuse_sudo(host, answer.code, answer.complaint)
        try:
            return inspection.parse(answer.out, units, paths)
        except (ValueError, IndexError) as error:
            said = answer.complaint or str(error)
            raise HostUnreachable(f"{host.name} could not be inspected: {said}. Nothing was concluded.") from error

    def position(self, host: Host) -> Cursor:
        """Where journal and log files end now. Raises as inspect; HostAuthRefused without journal access."""
        link, login = self._connections.ask(host)
        return passes.mark(link, login, time.time() + login.clock_offset)

    def since(self, host: Host, cursor: Cursor) -> tuple[LogRecord, ...]:
        """A fresh query of journal and files after `position`, oldest first. Raises as position."""
        link, login = self._connections.ask(host)
        found = passes.read_since(link, login, cursor)
        return tuple(Echoes().without(sorted(found, key=lambda record: record.time)))

    def running(self, host: Host, run_id: RunId) -> bool:
        """Whether a process of the run is alive: looked for in every process' environment.

        Raises as inspect: what can't be looked at may be running.
        """
        if _RUN_ID.fullmatch(run_id) is None:
            raise HostUnreachable(f"{run_id!r} is no id of a run, so it can't be looked for on {host.name}.")
        # The id stands in the script alone, which arrives by standard input: no process of ours carries it.
        script = (
            f"set -- $(grep -lzsxF 'HEALING_RUN={run_id}' /proc/[0-9]*/environ)\n"
            'test -r /proc/self/environ && echo "found=$#"'
        )
        answer = self._connections.get(host).run(script, root=host.connection.become, timeout=_LIMIT)
        self._refuse_sudo(host, answer.code, answer.complaint)
        words = answer.text.strip()
        if not re.fullmatch(r"found=\d+", words):
            raise HostTimeout(
                f"{host.name} does not tell whether {run_id} still runs: {words[:100]} {answer.complaint}"
            )
        return words != "found=0"

    def _refuse_sudo(self, host: Host, code: int, said: str) -> None:
        if host.connection.become and code != 0 and said.startswith("sudo:"):
            raise HostAuthRefused(
                f"{host.name}: sudo lets {host.connection.user or 'us'} do nothing without a password ({said}). Fix, "
                f"with visudo on the host: {host.connection.user or 'USER'} ALL=(ALL:ALL) NOPASSWD: ALL"
            )
