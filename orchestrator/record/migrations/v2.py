"""Version 2: the lease of a run, and what retention removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

MOMENT = sa.String(27)


def upgrade(op: Operations) -> None:
    """Rows of version 1 stay as they are."""
    op.add_column("run", sa.Column("lease_until", sa.Double))
    op.add_column("run", sa.Column("artifacts_removed", MOMENT))
    # Without it, each incident that is deleted would be looked for in every approval.
    op.create_index("approval_of_incident", "approval", ["incident_id"])
    op.create_table(
        "old_attempt",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("healed", sa.Boolean, nullable=False),
        sa.Column("injected", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "pruned",
        sa.Column("through_seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER event_no_delete")
        op.execute(
            "CREATE TRIGGER event_no_delete BEFORE DELETE ON event "
            "WHEN OLD.seq > coalesce((SELECT max(through_seq) FROM pruned), 0) "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )
