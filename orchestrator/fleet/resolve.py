"""The child process that asks Ansible what the inventory means: the only file that imports Ansible.

Run as `python -m orchestrator.fleet.resolve INVENTORY`. Prints one JSON document on stdout:

    {"hosts": [{"name": str, "groups": [str], "variables": {str: plain JSON}, "origins": {str: "FILE, line N"},
                "errors": [{"variable": str, "message": str}]}]}
    {"error": str}                                            the inventory as a whole can't be read

`variables` holds the `healing_*` and `ansible_*` variables, templated and decrypted, so stdout may carry
secrets: it goes to the parent's pipe and nowhere else. What Ansible prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

PREFIXES = ("healing_", "ansible_")

#: What facts are called where a fact cache exists. Hosts write facts, so facts never count as inventory.
_FACTS = frozenset({"ansible_facts", "ansible_local"})

#: Options of ansible.cfg and ANSIBLE_* that stand behind a connection variable which the inventory does not
#: set: plugin type, plugin, option, the variable under which the parent reads it. '': Ansible's own options.
_BEHIND = (
    ("connection", "ssh", "port", "ansible_port"),
    ("connection", "ssh", "remote_user", "ansible_user"),
    ("connection", "ssh", "private_key_file", "ansible_ssh_private_key_file"),
    ("connection", "ssh", "ssh_args", "ansible_ssh_args"),
    ("connection", "ssh", "ssh_common_args", "ansible_ssh_common_args"),
    ("connection", "ssh", "ssh_extra_args", "ansible_ssh_extra_args"),
    ("become", "sudo", "become_pass", "ansible_become_password"),
    ("", "", "DEFAULT_BECOME", "ansible_become"),
)


def main() -> int:
    """Resolve the inventory named on the command line; always exit code 0 with one document."""
    # Plugins and callbacks may print: the real stdout is kept for the document alone.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    document = resolve(sys.argv[1])
    json.dump(document, out, default=_plain)
    out.close()
    return 0


def resolve(source: str) -> dict[str, Any]:
    """The document above for one inventory source: file, folder or plugin config."""
    # First of all: this import sets Ansible up (locale, tagging) before any other part of it is loaded.
    from ansible.cli import CLI
    from ansible.errors import AnsibleError

    failures: list[tuple[str, BaseException]] = []
    try:
        hosts, variables = _load(CLI, source, failures)
        return {"hosts": [_host(host, *variables(host)) for host in hosts]}
    except AnsibleError as error:
        return {"error": _reason(source, failures) or _sentence(error)}


def _load(cli: Any, source: str, failures: list[tuple[str, BaseException]]) -> tuple[list[Any], Any]:
    """Hosts of the inventory, and how to get (templar, raw variables, origins) of one."""
    from ansible import constants
    from ansible.inventory.helpers import sort_groups
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import become_loader, connection_loader, init_plugin_loader
    from ansible.template import Templar
    from ansible.utils.display import Display
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager
    from ansible.vars.plugins import get_vars_from_inventory_sources

    init_plugin_loader()
    # Why a source did not parse is otherwise only a warning on stderr.
    display = Display()
    display.error_as_warning = lambda msg, exception, **_: failures.append((str(msg), exception))
    loader = DataLoader()
    base = source if os.path.isdir(source) else os.path.dirname(source)
    # group_vars and lookups are found beside the inventory, wherever the caller was started.
    loader.set_basedir(base)
    loader.set_vault_secrets(
        cli.setup_vault_secrets(loader, vault_ids=constants.DEFAULT_VAULT_IDENTITY_LIST, auto_prompt=False)
    )
    inventory = InventoryManager(loader=loader, sources=[source])
    manager = VariableManager(loader=loader, inventory=inventory, version_info=cli.version_info(gitinfo=False))
    HostVars(inventory, manager, loader)  # binds itself: `hostvars[...]` works in templates
    magic = set(manager.get_vars())
    # Loading the classes makes their options known to the configuration.
    connection_loader.get("ssh", class_only=True)
    become_loader.get("sudo", class_only=True)

    def layers(host: Any) -> list[Mapping[str, Any]]:
        groups, stage = sort_groups(host.get_groups()), "task"
        said = [get_vars_from_inventory_sources(loader, [source], [one], stage) for one in (*groups, host)]
        return [*(group.vars for group in groups), *said[:-1], host.vars, said[-1]]

    def variables(host: Any) -> tuple[Callable[[Any], Any], dict[str, Any], dict[str, str]]:
        known = manager.get_vars(host=host)
        templar = Templar(loader=loader, variables=known)
        names = (n for n in known if n.startswith(PREFIXES) and n not in magic and n not in _FACTS)
        raw = {name: known[name] for name in names}
        return templar.template, raw | dict(_configured(known)), dict(_origins(raw, lambda: layers(host)))

    return list(inventory.get_hosts("all")), variables


def _configured(known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What ansible.cfg or ANSIBLE_* say where no variable does."""
    from ansible import constants

    for plugin_type, plugin, option, variable in _BEHIND:
        where = {"plugin_type": plugin_type or None}
        defined = constants.config.get_configuration_definitions(name=plugin or None, **where)[option]
        names = {variable, *(alias["name"] for alias in defined.get("vars", ()))}
        if names & known.keys():
            continue
        value, origin = constants.config.get_config_value_and_origin(option, plugin_name=plugin or None, **where)
        if origin != "default" and value is not None:
            yield variable, value


def _host(host: Any, template: Callable[[Any], Any], raw: dict[str, Any], origins: dict[str, str]) -> dict[str, Any]:
    from ansible.errors import AnsibleError, AnsibleValueOmittedError

    values: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name in sorted(raw):
        try:
            # Through JSON here and not at the end: a vault text is decrypted when it is written.
            values[name] = json.loads(json.dumps(template(raw[name]), default=_plain))
        except AnsibleValueOmittedError:
            continue
        except (AnsibleError, TypeError, ValueError) as error:
            errors.append({"variable": str(name), "message": _sentence(error)})
    groups = sorted(group.name for group in host.get_groups() if group.name != "all")
    return {"name": str(host.name), "groups": groups, "variables": values, "origins": origins, "errors": errors}


def _origins(raw: Mapping[str, Any], layers: Callable[[], list[Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    """File and line in which each policy variable was set: Ansible tags its value with them, as far as a file set it.

    True, false and null carry no tag: there the variable's name does, in the last layer that has it. `layers` are what
    inventory files and group_vars, then host_vars, say of the host, the one that counts last.
    """
    from ansible._internal._datatag._tags import Origin  # no public door leads there; ansible-core is pinned to a minor

    for name, value in raw.items():
        if not name.startswith("healing_"):
            continue
        found = Origin.get_tag(value)
        if found is None:
            keys = [key for layer in layers() for key in layer if key == name]
            found = Origin.get_tag(keys[-1]) if keys else None
        if found is not None and found.path:
            yield str(name), f"{found.path}, line {found.line_num}" if found.line_num else str(found.path)


def _plain(value: Any) -> Any:
    """What JSON does not know: dates, sets, Ansible's mappings and vault texts; TypeError for the rest."""
    from ansible.parsing.vault import EncryptedString

    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, EncryptedString):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"it holds a value of type {type(value).__name__}, which is no plain data")


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _reason(source: str, failures: list[tuple[str, BaseException]]) -> str:
    """The one failure that helps: each plugin that was tried has its own, most are beside the point."""
    useful = [error for _, error in failures if "no root 'plugin' key found" not in str(error)]
    if not useful:
        return ""
    # Files of these names are tried as YAML first, and as INI only because everything is.
    names = {getattr(getattr(error, "obj", None), "path", None) for error in useful} | {source}
    yaml = any(str(name).endswith((".yml", ".yaml", ".json")) for name in names)
    error = useful[0] if yaml else useful[-1]
    place = getattr(error, "obj", None)
    path, line = getattr(place, "path", None), getattr(place, "line_num", None)
    return _sentence(error) + (f" ({path}, line {line})" if path and line else f" ({path})" if path else "")


if __name__ == "__main__":
    sys.exit(main())
