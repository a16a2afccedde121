"""Version 3: exchanges with a model, memory, outbreaks, steps, approvals, tokens, keyed requests, channels."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

MOMENT = sa.String(27)


def upgrade(op: Operations) -> None:
    """Rows of version 2 stay as they are."""
    op.add_column("incident", _text("asked_by", server_default=""))
    op.add_column("incident", _text("follows", server_default=""))
    op.add_column("incident", sa.Column("step", sa.Integer, nullable=False, server_default="1"))
    op.create_index("incident_by_signature", "incident_signature", ["signature", "incident_id"])
    reset = sa.text("kind = 'breaker.reset'")
    op.create_index("event_of_reset", "event", ["seq"], sqlite_where=reset, postgresql_where=reset)
    people = sa.text("actor != 'healing-bot'")
    op.create_index("event_by_people", "event", ["seq"], sqlite_where=people, postgresql_where=people)
    _lists(op)
    op.add_column("decision", sa.Column("offered", sa.JSON))
    op.add_column("decision", sa.Column("signatures", sa.JSON))
    op.add_column("approval", _text("asked_by", server_default=""))
    op.add_column("approval", sa.Column("four_eyes", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("approval", sa.Column("parts", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("approval", _text("changes", server_default=""))
    op.add_column("approval", _text("void_reason", server_default=""))
    op.add_column("run_host", _text("status", server_default=""))
    op.add_column("run_host", _text("reason", server_default=""))
    _exchanges(op)
    _memory(op)
    _outbreaks(op)
    _tokens(op)
    _channels(op)


def _lists(op: Operations) -> None:
    op.create_index("event_by_host", "event", ["host", "seq"])
    op.create_index("event_by_kind", "event", ["kind", "seq"])
    op.create_index("approval_by_time", "approval", ["asked_at", "id"])
    op.create_index("approval_by_answer", "approval", ["answer", "asked_at", "id"])
    for name in ("kind", "action", "status"):
        op.create_index(f"run_by_{name}", "run", [name, "started", "id"])


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **options)


def _incident(**options: Any) -> sa.Column[str]:
    return sa.Column("incident_id", sa.Text, sa.ForeignKey("incident.id"), nullable=False, **options)


def _exchanges(op: Operations) -> None:
    op.create_table(
        "exchange",
        sa.Column("seq", sa.Integer, primary_key=True),
        _incident(),
        sa.Column("at", MOMENT, nullable=False),
        _text("model"),
        _text("prompt_version"),
        _text("shown_digest"),
        sa.Column("shown", sa.LargeBinary, nullable=False),
        _text("reply_digest"),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("tokens_in", sa.Integer),
        sa.Column("tokens_out", sa.Integer),
        sa.Column("cost", sa.Float),
        sa.Column("seconds", sa.Float, nullable=False),
        _text("error"),
        sqlite_autoincrement=True,
    )
    op.create_index("exchange_of_incident", "exchange", ["incident_id"])


def _memory(op: Operations) -> None:
    op.create_table(
        "precedent",
        _text("signature", primary_key=True),
        _text("template"),
        _text("standing"),
        _text("action"),
        sa.Column("parameters", sa.JSON, nullable=False),
        _text("actor"),
        _text("reason"),
        sa.Column("at", MOMENT, nullable=False),
    )


def _outbreaks(op: Operations) -> None:
    op.create_table(
        "outbreak",
        sa.Column("seq", sa.Integer, primary_key=True),
        _text("id", unique=True),
        _text("signature"),
        _text("template"),
        _text("action"),
        sa.Column("parameters", sa.JSON, nullable=False),
        _text("state"),
        sa.Column("wave", sa.Integer, nullable=False),
        _text("reason"),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sqlite_autoincrement=True,
    )
    op.create_index("outbreak_by_signature", "outbreak", ["signature", "seq"])
    op.create_index(
        "one_outbreak_under_way", "outbreak", ["signature"], unique=True, sqlite_where=sa.text("state = 'healing'")
    )
    op.create_table(
        "outbreak_member",
        _incident(primary_key=True),
        sa.Column("outbreak_id", sa.Text, sa.ForeignKey("outbreak.id"), nullable=False),
        _text("host"),
        sa.Column("wave", sa.Integer, nullable=False),
        _text("ending"),
        _text("reason"),
    )
    op.create_index("member_of_outbreak", "outbreak_member", ["outbreak_id", "host"], unique=True)
    op.create_index("member_by_host", "outbreak_member", ["host"])


def _tokens(op: Operations) -> None:
    op.create_table(
        "token",
        _text("id", primary_key=True),
        _text("name"),
        _text("role"),
        _text("digest"),
        sa.Column("created_at", MOMENT, nullable=False),
        _text("created_by"),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("used_at", MOMENT),
    )
    op.create_table(
        "session",
        _text("digest", primary_key=True),
        _text("token_id"),
        _text("key_digest"),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_table(
        "keyed_request",
        _text("actor", primary_key=True),
        _text("key", primary_key=True),
        _text("digest"),
        _text("answer"),
        sa.Column("at", MOMENT, nullable=False),
    )
    live = sa.text("revoked_at IS NULL")
    op.create_index("one_token_a_name", "token", ["name"], unique=True, sqlite_where=live, postgresql_where=live)


def _channels(op: Operations) -> None:
    op.create_table(
        "notice_channel",
        _text("channel", primary_key=True),
        sa.Column("through", sa.JSON, nullable=False),
        sa.Column("sent", sa.JSON, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        _text("problem"),
        sa.Column("at", MOMENT),
    )
