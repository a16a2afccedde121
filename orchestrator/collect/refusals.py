"""What paramiko and sockets raise, as errors of ours: a sentence with host, address and the way out.

By the names of classes, so that paramiko stays behind its one door; a test holds the table against its real classes.
"""

from __future__ import annotations

import errno

from orchestrator.errors import (
    HealingError,
    HostAuthRefused,
    HostKeyMismatch,
    HostTimeout,
    HostUnreachable,
)

#: Class name -> our class and what is said of host, address and the error's own words. First match in the MRO counts.
TABLE: dict[str, tuple[type[HealingError], str]] = {
    "BadHostKeyException": (
        HostKeyMismatch,
        "{at} shows another host key than known_hosts has. Compare it on the host.",
    ),
    "InvalidHostKey": (HostKeyMismatch, "known_hosts has a line that can't be read for {at}: {said}."),
    "PasswordRequiredException": (HostAuthRefused, "The key for {at} is encrypted. Load it into an agent: ssh-add."),
    "UnknownKeyType": (
        HostAuthRefused,
        "The key for {at} is of a kind that can't be used; take ed25519, ecdsa or rsa.",
    ),
    "BadAuthenticationType": (HostAuthRefused, "{at} takes no login of our kind: {said}. Allow keys there."),
    "PartialAuthentication": (
        HostAuthRefused,
        "{at} wants a second factor after the key: {said}. Healing-bot has none.",
    ),
    "UnableToAuthenticate": (HostAuthRefused, "{at} refused the login: {said}. Check ansible_user and the key."),
    "AuthenticationException": (HostAuthRefused, "{at} refused the login: {said}. Check ansible_user and the key."),
    "ChannelException": (
        HostUnreachable,
        "{at} refused a channel: {said}. Check MaxSessions and, on a jump host, AllowTcpForwarding.",
    ),
    "IncompatiblePeer": (HostUnreachable, "{at} shares no algorithm with us: {said}. Its SSH server is too old."),
    "MessageOrderError": (HostUnreachable, "{at} broke SSH's strict order ({said}): somebody may be in between."),
    "ProxyCommandFailure": (HostUnreachable, "The proxy command to {at} failed: {said}. Try it by hand."),
    "NoValidConnectionsError": (
        HostUnreachable,
        "Nothing listens at {at}. Is its sshd up, and address and port right?",
    ),
    "CouldNotCanonicalize": (HostUnreachable, "The ssh config can't make a full name of {at}: {said}."),
    "ConfigParseError": (HostUnreachable, "The ssh config can't be read for {at}: {said}."),
    "SSHException": (HostUnreachable, "The SSH connection to {at} failed: {said}."),
    "gaierror": (HostUnreachable, "The address of {at} can't be looked up: {said}. Check ansible_host."),
    "ConnectionRefusedError": (HostUnreachable, "Nothing listens at {at}. Is its sshd up, and address and port right?"),
    "TimeoutError": (HostTimeout, "{at} did not answer in time. Is it up, and does a firewall let us through?"),
    "EOFError": (HostUnreachable, "{at} hung up in the middle of a word. Is its sshd being restarted?"),
    "OSError": (HostUnreachable, "The connection to {at} broke: {said}."),
}
#: Of paramiko's own words: the login or channel was late, not refused.
_LATE = ("timeout", "timed out")
_NO_GREETING = "Error reading SSH protocol banner"
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}


def translate(error: BaseException, host: str, address: str) -> HealingError:
    """Our error for one of theirs; `address` is `name:port` of the hop that it came from. Never raises."""
    at = f"{host} ({address})"
    said = _words(error)
    if any(word in said.lower() for word in _LATE):
        return HostTimeout(TABLE["TimeoutError"][1].format(at=at))
    if _NO_GREETING in said:
        return HostUnreachable(f"{at} takes connections, but no SSH server greets there. Does its sshd hang?")
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return HostUnreachable(f"There is no way to {at}: {said}. Is it up, and is its network?")
    name = next((one.__name__ for one in type(error).__mro__ if one.__name__ in TABLE), "OSError")
    ours, sentence = TABLE[name]
    return ours(sentence.format(at=at, said=said))


def _words(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    text = strerror if isinstance(strerror, str) and strerror else str(error)
    return " ".join(text.split()).rstrip(".")[:300] or type(error).__name__
