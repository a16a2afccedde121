"""A config file of its own for each test, and the store behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.record.store import SqlStore, open_store


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "healer.toml"
    path.write_text('state_dir = "state"\ninventory = "none"\n', encoding="utf-8")
    return str(path)


@pytest.fixture
def store(config: str) -> Iterator[SqlStore]:
    folder = Path(config).parent / "state"
    folder.mkdir(mode=0o700)
    opened = open_store(f"sqlite:///{folder / 'healer.sqlite'}")
    yield opened
    opened.close()
