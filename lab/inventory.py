"""The ordinary Ansible inventory of a lab."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

GROUP = "lab"
USER = "healer"


def inventory_text(
    hosts: Mapping[str, str],
    *,
    key: Path,
    known_hosts: Path,
    variables: Mapping[str, Any],
    host_variables: Mapping[str, Mapping[str, Any]],
) -> str:
    """YAML for name -> address: one group `lab`, host keys always checked, the given variables on top."""
    # Within one -o word OpenSSH splits at blanks, unless its own double quotes hold them.
    file = f'"{known_hosts}"' if " " in str(known_hosts) else str(known_hosts)
    arguments = ["-o", f"UserKnownHostsFile={file}", "-o", "StrictHostKeyChecking=yes"]
    connection = {
        "ansible_user": USER,
        "ansible_port": 22,
        "ansible_ssh_private_key_file": str(key),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": True,
        "ansible_ssh_common_args": shlex.join(arguments),
    }
    group = {
        "hosts": {name: {"ansible_host": address, **host_variables.get(name, {})} for name, address in hosts.items()},
        "vars": {**connection, **variables},
    }
    return yaml.safe_dump({GROUP: group}, sort_keys=False, width=200)
