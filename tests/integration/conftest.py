"""A fleet of three real hosts for each test process, taken down at the end; also after a run that was killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.fleet import Lab
from tests.support.fleets import fleet


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Iterator[Lab]:
    """Hosts web1, web2 and web3, shared by all tests of this process: leave them healed or break what is yours."""
    with fleet(worker, tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """The xdist worker's name, `main` without xdist."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))
