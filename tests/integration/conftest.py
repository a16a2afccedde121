"""A fleet of three real hosts for each test process, taken down at the end; also after a run that was killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet import Lab
from tests.support.fleets import fleet
from tests.support.role_stage import Stage


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Iterator[Lab]:
    """Hosts web1, web2 and web3, shared by all tests of this process: leave them healed or break what is yours."""
    with fleet(worker, tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """The xdist worker's name, `main` without xdist."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cp") as folder:
        yield Path(folder)


@pytest.fixture
def stage(lab: Lab, tmp_path: Path, sockets: Path) -> Stage:
    return Stage(lab, tmp_path, sockets)
