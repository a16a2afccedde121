"""How a store of an older version becomes one of ours, step by step: the one door to Alembic.

A step is a module `vN` whose `upgrade` makes version N out of N - 1 with Alembic's portable operations; the tables of
its day are written out in it, because those of `schema` move on. A change of `schema` takes a new step here.
Steps may rebuild tables (`batch_alter_table`): foreign keys are checked once, at the end of all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from orchestrator.record.migrations import v1, v2, v3

#: The first makes version 1 out of an empty file.
STEPS: tuple[Callable[[Operations], None], ...] = (v1.upgrade, v2.upgrade, v3.upgrade)


def run(connection: sa.Connection, version: int) -> int:
    """Take every step after `version` (0: an empty file), in the caller's transaction; returns the version reached."""
    operations = Operations(MigrationContext.configure(connection))
    for step in STEPS[version:]:
        step(operations)
    return len(STEPS)
