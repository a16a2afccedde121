"""A fleet of three real hosts for each test process, taken down at the end; also after a run that was killed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import machine
from lab.fleet import Lab

_OF_A_TEST = re.compile(r"test-([0-9]+)-\w+")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Iterator[Lab]:
    """Hosts web1, web2 and web3, shared by all tests of this process: leave them healed or break what is yours."""
    _remove_what_killed_tests_left()
    lab = Lab(f"test-{os.getpid()}-{worker}", tmp_path_factory.mktemp("lab"))
    try:
        lab.up(3)
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """The xdist worker's name, `main` without xdist."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))


def _remove_what_killed_tests_left() -> None:
    for name, folder in machine.registered().items():
        match = _OF_A_TEST.fullmatch(name)
        if match and not Path("/proc", match[1]).exists():
            Lab(name, folder.parent).down()
