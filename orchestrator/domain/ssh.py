"""OpenSSH's client arguments as data, and where a host's key is looked up.

Ansible hands `ansible_ssh_*args` to ssh; healing-bot reads journals over its own client. Both must reach the
same host in the same way, so every argument falls in one of three classes:

- **honoured**: in `SshOptions`; whoever connects must do as it says;
- **harmless**: changes nothing that we do (multiplexing, log level, compression), or would weaken the
  host key check, which always holds; left out;
- **unsupported**: in `SshOptions.unsupported`, as typed, for `healer doctor` to name.

Nothing here raises: what does not parse is unsupported.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.domain.hosts import Connection

#: Keys of `-o` that are kept in `SshOptions.options`.
HONOURED = frozenset(
    {
        "connecttimeout",
        "hostkeyalias",
        "identitiesonly",
        "identityfile",
        "passwordauthentication",
        "port",
        "proxycommand",
        "proxyjump",
        "pubkeyauthentication",
        "serveralivecountmax",
        "serveraliveinterval",
        "user",
        "userknownhostsfile",
    }
)

#: Keys of `-o` that change nothing for us. Host keys are always checked, whatever the second part says.
HARMLESS = frozenset(
    {
        "addkeystoagent",
        "batchmode",
        "clearallforwardings",
        "compression",
        "connectionattempts",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "escapechar",
        "exitonforwardfailure",
        "forwardagent",
        "forwardx11",
        "forwardx11trusted",
        "ipqos",
        "kbdinteractiveauthentication",
        "loglevel",
        "numberofpasswordprompts",
        "permitlocalcommand",
        "preferredauthentications",
        "requesttty",
        "sendenv",
        "setenv",
        "tcpkeepalive",
    }
    | {
        "checkhostip",
        "hashknownhosts",
        "stricthostkeychecking",
        "updatehostkeys",
        "verifyhostkeydns",
        "visualhostkey",
    }
)

#: Harmless only when switched off: we speak no Kerberos and no host-based login.
_HARMLESS_WHEN_OFF = frozenset({"gssapiauthentication", "gssapidelegatecredentials", "hostbasedauthentication"})

_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
_HARMLESS_FLAGS = frozenset("AaCkMnqTtvXxYy")
_HARMLESS_FLAGS_WITH_VALUE = frozenset("EeS")

#: A known_hosts file of these names switches the check off; ours does not switch off.
_NO_FILE = frozenset({"none", "/dev/null"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SshOptions:
    """What a list of ssh arguments asks for; of an option given twice the first wins, as in ssh."""

    #: Honoured options by lower-case key, those of flags (`-p`, `-l`, `-J`, `-i`) included.
    options: Mapping[str, str] = field(default_factory=dict)
    #: `[user@]host[:port]`, several with commas; `none`: no jump even where the ssh config names one.
    proxy_jump: str | None = None
    #: Command line, or `none` as above. Only one of the two proxies is ever set.
    proxy_command: str | None = None
    #: All of them, in the order in which they are tried; `~` not expanded.
    identity_files: tuple[str, ...] = ()
    port: int | None = None
    user: str | None = None
    #: `-F`: read instead of the ssh config of the settings; `none`: read none.
    config_file: str | None = None
    #: Arguments that can't be honoured, as typed.
    unsupported: tuple[str, ...] = ()

    @property
    def proxied(self) -> bool:
        """Whether these arguments put a proxy between us and the host."""
        return any(proxy not in (None, "none") for proxy in (self.proxy_jump, self.proxy_command))


def parse_ssh_arguments(arguments: Sequence[str]) -> SshOptions:
    """What the arguments ask for; `arguments` is already split as a shell would."""
    options: dict[str, str] = {}
    identities: list[str] = []
    unsupported: list[str] = []
    config_file: str | None = None
    for flag, value, typed in _flags(arguments):
        if flag == "F" and value:
            config_file = value
            continue
        key, setting = _setting(flag, value)
        if key == "" or setting is None:
            unsupported.append(typed)
        elif key == "identityfile":
            identities.append(setting)
            options.setdefault(key, setting)
        elif key in ("proxyjump", "proxycommand"):
            if not {"proxyjump", "proxycommand"} & options.keys():
                options[key] = setting
        elif key in HONOURED:
            options.setdefault(key, setting)
    return SshOptions(
        options=options,
        proxy_jump=options.get("proxyjump"),
        proxy_command=options.get("proxycommand"),
        identity_files=tuple(path for path in identities if path.lower() != "none"),
        port=int(options["port"]) if "port" in options else None,
        user=options.get("user"),
        config_file=config_file,
        unsupported=tuple(unsupported),
    )


def _flags(arguments: Sequence[str]) -> Iterator[tuple[str, str | None, str]]:
    """Each flag with its value and as typed, read as getopt reads them: `-p22`, `-p 22`, `-tto Key=Value`."""
    rest = iter(arguments)
    for word in rest:
        if len(word) < 2 or word[0] != "-" or word == "--":
            yield "", None, word
            continue
        for at, flag in enumerate(word[1:], start=1):
            if flag not in _FLAGS_WITH_VALUE:
                yield flag, None, f"-{flag}"
                continue
            value = word[at + 1 :] or next(rest, None)
            yield flag, value, f"-{flag} {value}" if value else f"-{flag}"
            break


_FLAG_KEYS = {"i": "identityfile", "J": "proxyjump", "l": "user", "p": "port"}


def _setting(flag: str, value: str | None) -> tuple[str, str | None]:
    """Lower-case key and value; ('', None): unsupported; a key of HARMLESS: harmless."""
    harmless, refused = ("loglevel", ""), ("", None)
    if flag in _HARMLESS_FLAGS or (flag in _HARMLESS_FLAGS_WITH_VALUE and value):
        return harmless
    if not value:
        return refused
    if flag in _FLAG_KEYS:
        key, setting = _FLAG_KEYS[flag], value
    elif flag == "o":
        key, setting = _split(value)
    else:
        return refused
    if key in HARMLESS or (key in _HARMLESS_WHEN_OFF and setting.lower() in ("no", "false")):
        return harmless
    if key not in HONOURED or not setting:
        return refused
    if key == "port" and not (setting.isascii() and setting.isdigit() and 0 < int(setting) < 65536):
        return refused
    return key, setting


def _split(option: str) -> tuple[str, str]:
    """`Key=Value`, `Key Value`, `Key = "Value"` to lower-case key and value."""
    text = option.strip()
    end = next((at for at, letter in enumerate(text) if letter == "=" or letter.isspace()), len(text))
    key, value = text[:end].lower(), text[end:].strip()
    if value.startswith("="):
        value = value[1:].strip()
    # A proxy command is the rest of the line, and known_hosts may be several files: there quotes still count.
    if (
        key not in ("proxycommand", "userknownhostsfile")
        and len(value) >= 2
        and value[0] == value[-1] == '"'
        and '"' not in value[1:-1]
    ):
        value = value[1:-1]
    return key, value


def known_hosts_file(connection: Connection, default: Path) -> Path:
    """The one file in which this host's key is looked up and enrolled.

    The first file of the host's own `UserKnownHostsFile`, else `default` (the known_hosts setting). A file
    that would switch the check off (`/dev/null`, `none`) is passed over: keys are always checked.
    """
    given = parse_ssh_arguments(connection.ssh_arguments).options.get("userknownhostsfile", "")
    try:
        files = shlex.split(given)
    except ValueError:
        # An open quote: ssh itself refuses to start with it.
        files = []
    return Path(files[0]).expanduser() if files and files[0] not in _NO_FILE else default


def known_hosts_name(connection: Connection) -> str:
    """The name of a host's entry in known_hosts, as ssh itself forms it.

    Its `HostKeyAlias`, else its address, as `[address]:port` off port 22. Where the ssh config changes address
    or port, give the connection with these replaced.
    """
    alias = parse_ssh_arguments(connection.ssh_arguments).options.get("hostkeyalias")
    return known_hosts_entry(connection.address, connection.port, alias)


def known_hosts_entry(address: str, port: int, alias: str | None = None) -> str:
    """The name of an entry; `alias` is a `HostKeyAlias` from arguments or ssh config."""
    if alias:
        return alias.lower()
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def host_key_arguments(connection: Connection, default: Path) -> tuple[str, ...]:
    """Arguments that must come first on any ssh command line to the host.

    First wins in ssh, so a `StrictHostKeyChecking=no` later on, from whatever variable, changes nothing.
    """
    # A percent sign would begin a token of ssh's.
    path = str(known_hosts_file(connection, default)).replace("%", "%%")
    return ("-o", "StrictHostKeyChecking=yes", "-o", f'UserKnownHostsFile="{path}"')
