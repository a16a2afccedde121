"""Version 1: incidents, decisions, runs, and the ledger."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

#: UTC as text of fixed width.
MOMENT = sa.String(27)
UNDER_WAY = sa.text("state IN ('healing', 'open', 'pending_approval', 'planning', 'verified')")


def upgrade(op: Operations) -> None:
    """All tables, into an empty file."""
    op.create_table("healing_store", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
    _incidents(op)
    _decisions(op)
    _runs(op)
    _ledger(op)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=options.pop("nullable", False), **options)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _of_incident(**options: Any) -> sa.Column[str]:
    return sa.Column("incident_id", sa.Text, sa.ForeignKey("incident.id"), nullable=False, **options)


def _incidents(op: Operations) -> None:
    op.create_table(
        "incident",
        sa.Column("seq", sa.Integer, primary_key=True),
        _text("id", unique=True),
        _text("host"),
        _text("subject_kind"),
        _text("subject_name"),
        _text("signature"),
        _text("template"),
        sa.Column("severity", sa.Integer, nullable=False),
        _text("state"),
        _text("origin"),
        _moment("first_seen"),
        _moment("last_seen"),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("age_at_detection", sa.Float, nullable=False),
        _text("reason"),
        sqlite_autoincrement=True,
    )
    subject = ["host", "subject_kind", "subject_name"]
    op.create_index(
        "one_incident_under_way",
        "incident",
        subject,
        unique=True,
        sqlite_where=UNDER_WAY,
        postgresql_where=UNDER_WAY,
    )
    op.create_index("incident_by_state", "incident", ["state", "seq"])
    op.create_index("incident_of_subject", "incident", subject)
    op.create_table("incident_signature", _of_incident(primary_key=True), _text("signature", primary_key=True))
    op.create_table(
        "evidence",
        sa.Column("seq", sa.Integer, primary_key=True),
        _of_incident(),
        _moment("time"),
        _text("host"),
        _text("unit"),
        sa.Column("priority", sa.Integer, nullable=False),
        _text("message"),
        _text("cursor", nullable=True),
        _text("source"),
        sa.Column("unit_failure", sa.Boolean, nullable=False),
        sa.Column("own_session", sa.Boolean, nullable=False),
        sa.Column("injected", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("evidence_of_incident", "evidence", ["incident_id", "seq"])
    op.create_table(
        "source_cursor", _text("host", primary_key=True), _text("source", primary_key=True), _text("cursor")
    )


def _decisions(op: Operations) -> None:
    op.create_table(
        "decision",
        _of_incident(primary_key=True),
        _text("action"),
        sa.Column("parameters", sa.JSON, nullable=False),
        _text("reason"),
        _text("chooser"),
        _text("shown_digest"),
        sa.Column("confidence", sa.Float),
    )
    op.create_table(
        "verdict",
        _of_incident(primary_key=True),
        _text("outcome"),
        _text("rule"),
        _text("reason"),
        _text("digest"),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    op.create_table(
        "approval",
        _text("id", primary_key=True),
        _of_incident(),
        _text("host"),
        _text("action"),
        sa.Column("parameters", sa.JSON, nullable=False),
        _text("digest"),
        _text("rule"),
        _text("reason"),
        _moment("asked_at"),
        _moment("expires_at"),
        _text("answer"),
        _text("answered_by"),
        _moment("answered_at", nullable=True),
        _text("answer_reason"),
    )


def _runs(op: Operations) -> None:
    op.create_table(
        "run",
        _text("id", primary_key=True),
        _text("incident_id"),
        _text("kind"),
        _text("action"),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("hosts", sa.JSON, nullable=False),
        sa.Column("signatures", sa.JSON, nullable=False),
        _text("status"),
        _moment("started"),
        _moment("ended", nullable=True),
        sa.Column("rc", sa.Integer),
        _text("reason"),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_start", sa.BigInteger),
        sa.Column("slot_shut", sa.Boolean, nullable=False),
    )
    op.create_index("ix_run_incident_id", "run", ["incident_id"])
    op.create_index("run_by_start", "run", ["started"])
    op.create_table(
        "run_host",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.id"), primary_key=True),
        _text("host", primary_key=True),
        sa.Column("held", sa.Boolean, nullable=False),
    )
    held = sa.text("held")
    op.create_index("one_run_a_host", "run_host", ["host"], unique=True, sqlite_where=held, postgresql_where=held)
    op.create_index("run_by_host", "run_host", ["host"])


def _ledger(op: Operations) -> None:
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer, primary_key=True),
        _moment("at"),
        _text("kind"),
        _text("incident_id"),
        _text("host"),
        _text("text"),
        _text("actor"),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_incident", "event", ["incident_id", "seq"])
    op.create_table(
        "switch",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        _text("actor"),
        _text("reason"),
        _moment("at"),
    )
    op.create_table("worker", _text("name", primary_key=True), _moment("seen"))
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER event_no_{verb.lower()} BEFORE {verb} ON event "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
