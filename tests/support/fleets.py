"""Labs for tests, named after the process that they belong to: what a killed one left is found and removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import machine
from lab.fleet import Lab

_OF_A_TEST = re.compile(r"test-([0-9]+)-[a-z0-9-]+")


@contextmanager
def fleet(purpose: str, folder: Path, hosts: int = 3, **variables: Any) -> Iterator[Lab]:
    """Hosts web1 .. web`hosts` until the end; `variables` go to Lab.up. `purpose` tells a process' labs apart."""
    remove_what_killed_tests_left()
    lab = Lab(name(purpose, os.getpid()), folder)
    try:
        lab.up(hosts, **variables)
        yield lab
    finally:
        lab.down()


def name(purpose: str, process: int) -> str:
    """The lab of a running process, for a purpose."""
    return f"test-{process}-{purpose}"


def remove_what_killed_tests_left() -> None:
    """Take down labs whose process is gone."""
    for left, folder in machine.registered().items():
        match = _OF_A_TEST.fullmatch(left)
        if match and not Path("/proc", match[1]).exists():
            Lab(left, folder.parent).down()
