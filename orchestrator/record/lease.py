"""The lease of a run, renewed by its supervisor with the bare driver: a supervisor lives for one run, and
SQLAlchemy would double its memory and its start.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from orchestrator.errors import ConfigError, StoreUnavailable

#: Unix time by SQLite's own clock, as a float with milliseconds.
NOW = "((julianday('now') - 2440587.5) * 86400.0)"
_RENEW = f"UPDATE run SET lease_until = {NOW} + ? WHERE id = ? AND status = 'running'"  # noqa: S608  # two constants
#: Seconds that one try waits for another writer.
WAIT = 2.0


class Lease:
    """What a supervisor knows of the store: one row, and how to say that it still looks after it."""

    def __init__(self, url: str, run_id: str, seconds: float) -> None:
        """`url`: the store's, as settings give it. Raises ConfigError for one that is not SQLite."""
        if not url.startswith("sqlite:///"):
            raise ConfigError("A run's lease can be kept in a SQLite store alone so far.")
        self._path, self._run_id, self._seconds = url.removeprefix("sqlite:///"), run_id, seconds

    def renew(self) -> bool:
        """Ours for the whole time again; False: the run is over for everybody else. Raises StoreUnavailable."""
        try:
            # Opened anew: no connection is held over a fork, nor over an hour of a slow playbook.
            with closing(sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=WAIT)) as store, store:
                return store.execute(_RENEW, (self._seconds, self._run_id)).rowcount == 1
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The lease of {self._run_id} can't be renewed in {self._path}: {error}.") from error
