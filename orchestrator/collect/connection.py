"""The one door to paramiko: one SSH connection a host, shared by followed logs and questions.

Every error of paramiko, of its key loading and of sockets leaves here as one of orchestrator.errors, in a sentence
that names host, address and the way out.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from orchestrator.collect.hostkeys import known_keys
from orchestrator.collect.link import ANSWER_LIMIT, Answer, Link, Stream, script_bytes, shell
from orchestrator.collect.local import LocalLink
from orchestrator.collect.pool import Pool
from orchestrator.collect.proxy import Proxy
from orchestrator.collect.refusals import translate
from orchestrator.collect.route import Hop, find_route
from orchestrator.domain.hosts import Host
from orchestrator.errors import HostAuthRefused, HostKeyMismatch, HostTimeout, HostUnreachable
from orchestrator.settings import Settings

# paramiko logs every failed handshake with a traceback; each of them is raised from here as a sentence instead.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_CHUNK = 64 * 1024
#: Seconds between keepalives; they make the kernel notice a host that dropped off the network.
_KEEPALIVE = 15
#: Milliseconds that sent bytes may stay unacknowledged before the kernel gives the connection up.
_UNACKNOWLEDGED = 30_000
#: sshd's MaxAuthTries is 6: past it the host hangs up instead of answering.
_MOST_KEYS = 5


class _Transport(paramiko.Transport):
    """An SSH transport that idles cheaply."""

    # Seconds. With paramiko's 0.1 the thread of an idle connection wakes ten times a second only to look whether it
    # was closed: 2.2 % of a core for 100 hosts, 0.4 % with 5 (measured). What arrives still wakes it at once, and
    # `_end` shuts the socket down, which wakes it too.
    _active_check_timeout = 5.0


@dataclass(frozen=True, slots=True)
class _Reached:
    """One hop that we are logged in to."""

    transport: _Transport
    sock: socket.socket | paramiko.Channel
    proxy: Proxy | None


class Connections(Pool):
    """The pool that followed logs and questions share."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, _link)


def _link(host: Host, settings: Settings) -> Link:
    return LocalLink(host, settings) if host.connection.kind == "local" else connect(host, settings)


def connect(host: Host, settings: Settings) -> SshLink:
    """Log in to a host, hop by hop, each hop's key checked. Raises as Connections.get."""
    deadline = time.monotonic() + settings.connect_timeout_seconds
    reached: list[_Reached] = []
    try:
        route = find_route(host, settings)
        for hop in route:
            through = reached[-1].transport if reached else None
            with _translated(host, hop):
                reached.append(_reach(host, hop, through, settings, deadline, last=hop is route[-1]))
    except BaseException:
        _end(reached)
        raise
    return SshLink(host, route[-1], reached, settings.connect_timeout_seconds)


@contextlib.contextmanager
def _translated(host: Host, hop: Hop) -> Iterator[None]:
    try:
        yield
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise translate(error, host.name, f"{hop.address}:{hop.port}") from error


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _reach(
    host: Host, hop: Hop, through: _Transport | None, settings: Settings, deadline: float, *, last: bool
) -> _Reached:
    proxy: Proxy | None = None
    sock: socket.socket | paramiko.Channel
    if through is not None:
        sock = through.open_channel("direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=_left(deadline))
    elif hop.proxy_command:
        proxy = Proxy(hop.proxy_command, settings.child_environment)
        sock = proxy.sock
    else:
        sock = socket.create_connection((hop.address, hop.port), timeout=_left(deadline))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
    transport = _Transport(sock)
    reached = _Reached(transport, sock, proxy)
    try:
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = _left(deadline)
        _check_host_key(transport, host, hop, settings, deadline, last=last)
        _log_in(transport, host, hop, deadline, last=last)
        transport.set_keepalive(_KEEPALIVE)
    except BaseException as error:
        code = proxy.ended() if proxy is not None else None
        _end([reached])
        if code is not None and isinstance(error, paramiko.SSHException | OSError | EOFError):
            raise HostUnreachable(
                f"The proxy command to {host.name} ({hop.address}:{hop.port}) ended with code {code}. Try it by hand: "
                f"{hop.proxy_command}"
            ) from error
        raise
    return reached


def _check_host_key(
    transport: _Transport, host: Host, hop: Hop, settings: Settings, deadline: float, *, last: bool
) -> None:
    known = known_keys(hop.known_hosts, hop.name, settings.child_environment)
    kinds = {algorithm for algorithm, _ in known.trusted}
    options = transport.get_security_options()
    # Ask for a kind that we know, else the host may show another key of its own, which would look like a stranger's.
    options.key_types = sorted(options.key_types, key=lambda kind: _kind(kind) not in kinds)
    transport.start_client(timeout=_left(deadline))
    if not transport.initial_kex_done:
        raise HostTimeout(
            f"{host.name} ({hop.address}:{hop.port}) did not finish the SSH handshake in time. Is an SSH server there, "
            "and is it overloaded?"
        )
    key = transport.get_remote_server_key()
    shown = (key.get_name(), base64.b64encode(key.asbytes()).decode())
    where = f"{host.name} ({hop.address}:{hop.port})" if last else f"{hop.address}:{hop.port}, the way to {host.name},"
    # `healer trust` asks the host itself, through jumps that are trusted already.
    trust = f"healer trust {host.name}" if last else f"ssh-keyscan -p {hop.port} {hop.address} >> {hop.known_hosts}"
    found = f"its {key.get_name()} key {key.fingerprint}"
    if shown in known.revoked:
        raise HostKeyMismatch(f"{where} shows a revoked key: {found} is marked @revoked in {hop.known_hosts}.")
    if shown in known.trusted:
        return
    if known.trusted:
        anew = f"{trust} --replace" if last else f"take its old line out, and {trust}"
        raise HostKeyMismatch(
            f"{where} shows another host key than {hop.known_hosts} has for {hop.name}: {found}. Somebody may be in "
            f"between, or the host was set up anew. Compare on the host, then: {anew}"
        )
    raise HostKeyMismatch(
        f"{where} is not in {hop.known_hosts} as {hop.name}: {found}. Compare it on the host, then: {trust}"
    )


def _kind(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _log_in(transport: _Transport, host: Host, hop: Hop, deadline: float, *, last: bool) -> None:
    """Try keys, then the password; the inventory's key and password are for the host itself, not for a jump."""
    tried: list[str] = []
    own_key = host.connection.key_file if last else None
    password = host.connection.password if last else None
    with contextlib.closing(_keys(host, hop, own_key)) as keys:
        for label, load in keys:
            if len(tried) == _MOST_KEYS or not transport.is_active():
                break
            key = load()
            if key is not None:
                tried.append(label)
                transport.auth_timeout = _left(deadline)
                if _accepted(lambda: transport.auth_publickey(hop.user, key)):  # noqa: B023  # called at once
                    return
    if password is not None and transport.is_active():
        tried.append("the password")
        if _accepted(lambda: transport.auth_password(hop.user, str(password))):
            return
    what = ", ".join(tried) or "nothing (no key file, agent or password is there)"
    raise HostAuthRefused(
        f"{host.name} ({hop.address}:{hop.port}) refused the login of {hop.user}; tried: {what}. Put our public key "
        f"into {hop.user}'s authorized_keys there, or set ansible_user and ansible_ssh_private_key_file."
    )


def _accepted(attempt: Callable[[], list[str]]) -> bool:
    try:
        # What is left is further factors that the host wants; we have none.
        return not attempt()
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise
        return False


def _keys(
    host: Host, hop: Hop, own_key: str | None
) -> Generator[tuple[str, Callable[[], paramiko.PKey | None]], None, None]:
    if own_key is not None:
        path = Path(own_key).expanduser()
        yield str(path), lambda: _own_key(host, path)
    if not hop.identities_only:
        agent = _agent()
        try:
            for number, key in enumerate(agent.get_keys() if agent else (), start=1):
                yield f"agent key {number}", lambda key=key: key  # type: ignore[misc]
        finally:
            if agent is not None:
                agent.close()
    for name in hop.identity_files:
        if Path(name).is_file() and name != own_key:
            yield name, lambda name=name: _spare_key(Path(name))  # type: ignore[misc]


def _agent() -> paramiko.Agent | None:
    try:
        return paramiko.Agent()
    except (paramiko.SSHException, OSError):
        return None


def _own_key(host: Host, path: Path) -> paramiko.PKey:
    """The key that the inventory names: it must be usable. Raises HostAuthRefused."""
    try:
        status = path.stat()
    except OSError as error:
        raise HostAuthRefused(
            f"{host.name}: the key {path} can't be read: {error.strerror}. Put ansible_ssh_private_key_file right."
        ) from error
    # ssh's own rule, so that Ansible's connection does not fail where ours works.
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        raise HostAuthRefused(
            f"{host.name}: the key {path} has mode {status.st_mode & 0o7777:04o}, so others may read it and ssh "
            f"refuses it. Fix: chmod 600 {path}"
        )
    try:
        return paramiko.PKey.from_path(path)
    except TypeError as error:
        raise HostAuthRefused(
            f"{host.name}: the key {path} is encrypted. Load it into an agent first: ssh-add {path}"
        ) from error
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError, OSError) as error:
        raise HostAuthRefused(f"{host.name}: the key {path} is no private key that can be used: {error}") from error


def _spare_key(path: Path) -> paramiko.PKey | None:
    """A key that ssh would merely try: passed over where it can't be used, as ssh does."""
    try:
        status = path.stat()
        if status.st_uid == os.getuid() and status.st_mode & 0o077:
            return None
        return paramiko.PKey.from_path(path)
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, TypeError, ValueError, OSError):
        return None


def _end(reached: list[_Reached]) -> None:
    """Close hops, the last first. The socket goes first: it wakes the transport's thread, which close() waits for."""
    for one in reversed(reached):
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            one.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            one.transport.close()
        if one.proxy is not None:
            one.proxy.close()


class SshLink:
    """One host's connection; see Link."""

    def __init__(self, host: Host, hop: Hop, reached: list[_Reached], patience: float) -> None:
        """`patience`: seconds in which a living host opens a channel and takes a script."""
        self._host, self._hop, self._reached, self._patience = host, hop, reached, patience
        self._transport = reached[-1].transport

    @property
    def host(self) -> Host:
        """Whose connection this is."""
        return self._host

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._transport.is_active()

    def open(self, script: str, *, root: bool = False) -> Stream:
        """See Link."""
        return SshStream(self._start(script, root=root), self._translated)

    def _start(self, script: str, *, root: bool) -> paramiko.Channel:
        with self._asking():
            channel = self._transport.open_session(timeout=self._patience)
            try:
                channel.settimeout(self._patience)
                channel.exec_command(shell(root=root))
                self._hand_over(channel, script)
            except BaseException:
                channel.close()
                raise
        return channel

    def _hand_over(self, channel: paramiko.Channel, script: str) -> None:
        try:
            channel.sendall(script_bytes(script))
        except OSError:
            # What ran there ended before it had read the script, as a login that is no shell does; its words are read.
            if not channel.closed or not self.alive:
                raise

    def run(self, script: str, *, root: bool = False, timeout: float = 30.0) -> Answer:
        """See Link."""
        deadline = time.monotonic() + timeout
        channel = self._start(script, root=root)
        try:
            with self._asking():
                channel.shutdown_write()
                out = self._drain(channel, channel.recv, deadline)
                err = self._drain(channel, channel.recv_stderr, deadline)
                if not channel.status_event.wait(_left(deadline)):
                    raise TimeoutError
            return Answer(code=channel.exit_status, out=out, err=err)
        finally:
            channel.close()

    def _drain(self, channel: paramiko.Channel, receive: Callable[[int], bytes], deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            channel.settimeout(_left(deadline))
            part = receive(_CHUNK)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > ANSWER_LIMIT or time.monotonic() > deadline:
                raise HostTimeout(
                    f"{self._host.name} ({self._hop.address}) gave no end of an answer: {size} bytes so far. "
                    "Nothing was concluded from it."
                )

    def close(self) -> None:
        """End the connection, its hops and its proxy."""
        _end(self._reached)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Around a question. A host may hang with its connections open: who asks next must find out by a new one."""
        try:
            with self._translated():
                yield
        except HostTimeout:
            self.close()
            raise

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return _translated(self._host, self._hop)


class SshStream:
    """A script that goes on running in a channel of its own; see Stream."""

    def __init__(
        self, channel: paramiko.Channel, translated: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._channel, self._translated = channel, translated

    def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        with self._translated():
            self._channel.settimeout(timeout)
            return self._channel.recv(_CHUNK)

    def write(self, data: bytes) -> None:
        """See Stream."""
        with self._translated():
            self._channel.settimeout(30.0)
            self._channel.sendall(data)

    def close(self) -> None:
        """See Stream."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
