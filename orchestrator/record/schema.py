"""The tables. What must never happen is refused here, by constraints, not by the code that writes.

Portable on purpose: times are text that sorts, JSON is text, and partial unique indexes exist in SQLite and
PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from orchestrator.domain.incidents import UNDER_WAY
from orchestrator.fleet_port import BREAKER_RESET
from orchestrator.record import lease

#: Raise it with every change of a table, and add the step to `migrations`; a store of a newer version is refused
#: before it is touched.
VERSION = 3


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware time as UTC text of fixed width, `2026-01-31T08:00:00.000000Z`: sorts as text, on any database."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        """Raises ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no zone")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        """Aware, UTC."""
        return None if value is None else datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC)


METADATA = sa.MetaData()


def _table(name: str, *parts: Any, **options: Any) -> sa.Table:
    return sa.Table(name, METADATA, *parts, **options)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=options.pop("nullable", False), **options)


def _moment(name: str, **options: Any) -> sa.Column[datetime]:
    return sa.Column(name, Moment, nullable=options.pop("nullable", False), **options)


def _of_incident(**options: Any) -> sa.Column[str]:
    return sa.Column("incident_id", sa.ForeignKey("incident.id"), nullable=False, **options)


class database_now(sa.sql.functions.FunctionElement[float]):  # noqa: N801  # a SQL function, as sa.func writes them
    """Unix time by the database's own clock."""

    type = sa.Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return lease.NOW


@compiles(database_now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())"


STORE = _table("healing_store", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

INCIDENT = _table(
    "incident",
    #: The order in which they were opened: ids of the same millisecond do not tell.
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
    #: Who asked for it; '' where a log line opened it.
    _text("asked_by", server_default=""),
    #: The incident whose healing this one goes on with, as its step number `step`; '' and 1: it stands alone.
    _text("follows", server_default=""),
    sa.Column("step", sa.Integer, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)
_UNDER_WAY = INCIDENT.c.state.in_(sorted(UNDER_WAY))
sa.Index(
    "one_incident_under_way",
    INCIDENT.c.host,
    INCIDENT.c.subject_kind,
    INCIDENT.c.subject_name,
    unique=True,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
sa.Index("incident_by_state", INCIDENT.c.state, INCIDENT.c.seq)
sa.Index("incident_of_subject", INCIDENT.c.host, INCIDENT.c.subject_kind, INCIDENT.c.subject_name)

SIGNATURE = _table("incident_signature", _of_incident(primary_key=True), _text("signature", primary_key=True))
sa.Index("incident_by_signature", SIGNATURE.c.signature, SIGNATURE.c.incident_id)

EVIDENCE = _table(
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
sa.Index("evidence_of_incident", EVIDENCE.c.incident_id, EVIDENCE.c.seq)

CURSOR = _table("source_cursor", _text("host", primary_key=True), _text("source", primary_key=True), _text("cursor"))

DECISION = _table(
    "decision",
    _of_incident(primary_key=True),
    _text("action"),
    sa.Column("parameters", sa.JSON, nullable=False),
    _text("reason"),
    _text("chooser"),
    _text("shown_digest"),
    sa.Column("confidence", sa.Float),
    #: What could be chosen: [[action, {parameter: [value]}]]; NULL in records of older versions.
    sa.Column("offered", sa.JSON(none_as_null=True)),
    #: Of the lines that the chooser was shown; NULL in records of older versions.
    sa.Column("signatures", sa.JSON(none_as_null=True)),
)

#: One question to a model and its answer, whole: the texts are UTF-8, packed with zlib, and known by their SHA-256.
EXCHANGE = _table(
    "exchange",
    sa.Column("seq", sa.Integer, primary_key=True),
    _of_incident(),
    _moment("at"),
    _text("model"),
    _text("prompt_version"),
    _text("shown_digest"),
    sa.Column("shown", sa.LargeBinary, nullable=False),
    #: '' and empty where no answer came.
    _text("reply_digest"),
    sa.Column("reply", sa.LargeBinary, nullable=False),
    #: NULL: the service did not say.
    sa.Column("tokens_in", sa.Integer),
    sa.Column("tokens_out", sa.Integer),
    #: In the currency of the prices in the settings; NULL: no price is set, or no tokens were told.
    sa.Column("cost", sa.Float),
    sa.Column("seconds", sa.Float, nullable=False),
    #: Stable code of the error that it ended with; '': it was answered in the agreed shape.
    _text("error"),
    sqlite_autoincrement=True,
)
sa.Index("exchange_of_incident", EXCHANGE.c.incident_id)

#: A person's word about what memory may choose for a signature. What memory learned itself is counted from incidents.
PRECEDENT = _table(
    "precedent",
    _text("signature", primary_key=True),
    _text("template"),
    #: pinned or forbidden.
    _text("standing"),
    #: What is chosen, or never is; '': nothing at all may be chosen.
    _text("action"),
    sa.Column("parameters", sa.JSON, nullable=False),
    _text("actor"),
    _text("reason"),
    _moment("at"),
)

#: Incidents of one signature on several hosts, decided once and healed in waves.
OUTBREAK = _table(
    "outbreak",
    sa.Column("seq", sa.Integer, primary_key=True),
    _text("id", unique=True),
    _text("signature"),
    _text("template"),
    _text("action"),
    sa.Column("parameters", sa.JSON, nullable=False),
    #: healing, healed, stopped or over.
    _text("state"),
    #: The wave under way or the last one; 0 before the first.
    sa.Column("wave", sa.Integer, nullable=False),
    _text("reason"),
    _moment("opened_at"),
    _moment("ended_at", nullable=True),
    sqlite_autoincrement=True,
)
sa.Index("outbreak_by_signature", OUTBREAK.c.signature, OUTBREAK.c.seq)
_HEALING = OUTBREAK.c.state == "healing"
sa.Index("one_outbreak_under_way", OUTBREAK.c.signature, unique=True, sqlite_where=_HEALING, postgresql_where=_HEALING)

OUTBREAK_MEMBER = _table(
    "outbreak_member",
    _of_incident(primary_key=True),
    sa.Column("outbreak_id", sa.ForeignKey("outbreak.id"), nullable=False),
    _text("host"),
    #: 0: in no wave yet.
    sa.Column("wave", sa.Integer, nullable=False),
    #: verified, well, failed or left; '' while it waits and while its wave goes on, which holds the host.
    _text("ending"),
    _text("reason"),
)
sa.Index("member_of_outbreak", OUTBREAK_MEMBER.c.outbreak_id, OUTBREAK_MEMBER.c.host, unique=True)
sa.Index("member_by_host", OUTBREAK_MEMBER.c.host)

VERDICT = _table(
    "verdict",
    _of_incident(primary_key=True),
    _text("outcome"),
    _text("rule"),
    _text("reason"),
    _text("digest"),
    sa.Column("facts", sa.JSON, nullable=False),
)

APPROVAL = _table(
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
    #: Who asked for the healing: where four eyes are required, somebody else must answer. '' for a log line.
    _text("asked_by", server_default=""),
    sa.Column("four_eyes", sa.Boolean, nullable=False, server_default=sa.false()),
    #: Digests of what it is bound to, by part: so that a person is told which part changed.
    sa.Column("parts", sa.JSON, nullable=False, server_default="{}"),
    #: What `--check --diff` printed on the host when it was asked, bounded and redacted.
    _text("changes", server_default=""),
    #: What changed since it was asked, as a sentence; '': it is not void.
    _text("void_reason", server_default=""),
)
sa.Index("approval_of_incident", APPROVAL.c.incident_id)
sa.Index("approval_by_time", APPROVAL.c.asked_at, APPROVAL.c.id)
sa.Index("approval_by_answer", APPROVAL.c.answer, APPROVAL.c.asked_at, APPROVAL.c.id)

# A run names its incident without a foreign key: what was run stays recorded whatever becomes of the incident.
RUN = _table(
    "run",
    _text("id", primary_key=True),
    _text("incident_id", index=True),
    _text("kind"),
    _text("action"),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("hosts", sa.JSON, nullable=False),
    #: Every signature that the incident had when the run was claimed: what the limit of attempts counts by.
    sa.Column("signatures", sa.JSON, nullable=False),
    _text("status"),
    _moment("started"),
    _moment("ended", nullable=True),
    sa.Column("rc", sa.Integer),
    _text("reason"),
    sa.Column("pid", sa.Integer),
    sa.Column("pid_start", sa.BigInteger),
    #: Unix time on the database's clock until which the run's supervisor vouches for it; NULL before there is one.
    sa.Column("lease_until", sa.Double),
    sa.Column("slot_shut", sa.Boolean, nullable=False),
    #: When retention removed its artifacts; NULL: they are there, as far as it left any.
    _moment("artifacts_removed", nullable=True),
)
sa.Index("run_by_start", RUN.c.started)
#: Each in the order of a list, so that what is rare among many is found without looking at the others.
for _column in (RUN.c.kind, RUN.c.action, RUN.c.status):
    sa.Index(f"run_by_{_column.name}", _column, RUN.c.started, RUN.c.id)

RUN_HOST = _table(
    "run_host",
    sa.Column("run_id", sa.ForeignKey("run.id"), primary_key=True),
    _text("host", primary_key=True),
    #: True while the run goes on or the host may still be at work: no other run may hold the host.
    sa.Column("held", sa.Boolean, nullable=False),
    #: How the run ended on this host; '' while it runs, and where the run is of one host.
    _text("status", server_default=""),
    _text("reason", server_default=""),
)
sa.Index(
    "one_run_a_host",
    RUN_HOST.c.host,
    unique=True,
    sqlite_where=RUN_HOST.c.held,
    postgresql_where=RUN_HOST.c.held,
)
sa.Index("run_by_host", RUN_HOST.c.host)

EVENT = _table(
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
sa.Index("event_of_incident", EVENT.c.incident_id, EVENT.c.seq)
sa.Index("event_by_host", EVENT.c.host, EVENT.c.seq)
sa.Index("event_by_kind", EVENT.c.kind, EVENT.c.seq)
_RESET = EVENT.c.kind == BREAKER_RESET
sa.Index("event_of_reset", EVENT.c.seq, sqlite_where=_RESET, postgresql_where=_RESET)
#: Few among many: what people and clients did.
BY_PEOPLE = EVENT.c.actor != sa.literal_column("'healing-bot'")
sa.Index("event_by_people", EVENT.c.seq, sqlite_where=BY_PEOPLE, postgresql_where=BY_PEOPLE)

SWITCH = _table(
    "switch",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    _text("actor"),
    _text("reason"),
    _moment("at"),
)

WORKER = _table("worker", _text("name", primary_key=True), _moment("seen"))

#: How far each channel to people has come in the ledger.
TOLD = _table(
    "notice_channel",
    _text("channel", primary_key=True),
    #: By kind of notice, the ledger's line up to which everything was told.
    sa.Column("through", sa.JSON, nullable=False),
    #: Moments of the last hour.
    sa.Column("sent", sa.JSON, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    _text("problem"),
    _moment("at", nullable=True),
)

#: Keys of the API. Of a key, only its digest is here.
TOKEN = _table(
    "token",
    _text("id", primary_key=True),
    _text("name"),
    _text("role"),
    _text("digest"),
    _moment("created_at"),
    _text("created_by"),
    _moment("expires_at", nullable=True),
    _moment("revoked_at", nullable=True),
    _moment("used_at", nullable=True),
)
sa.Index(
    "one_token_a_name",
    TOKEN.c.name,
    unique=True,
    sqlite_where=TOKEN.c.revoked_at.is_(None),
    postgresql_where=TOKEN.c.revoked_at.is_(None),
)

#: People at a browser. Of the cookie, only a digest is here.
SESSION = _table(
    "session",
    _text("digest", primary_key=True),
    _text("token_id"),
    _text("key_digest"),
    _moment("expires_at"),
)

#: Requests that their clients named with a key, so that a repeat is harmless.
KEYED = _table(
    "keyed_request",
    _text("actor", primary_key=True),
    _text("key", primary_key=True),
    _text("digest"),
    #: '': not answered yet.
    _text("answer"),
    _moment("at"),
)

#: What statistics keep of an attempt whose records were pruned: all that they ever said of it.
OLD_ATTEMPT = _table(
    "old_attempt",
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("healed", sa.Boolean, nullable=False),
    sa.Column("injected", sa.Boolean, nullable=False),
    #: From the first start to the last end of its incident's runs.
    sa.Column("seconds", sa.Float, nullable=False),
)

#: Up to which line the ledger may be deleted, since when and why: written with a line that says so.
PRUNED = _table(
    "pruned",
    sa.Column("through_seq", sa.Integer, primary_key=True, autoincrement=False),
    _moment("at"),
    _text("reason"),
)

#: The ledger is append-only: SQLite itself refuses to change a line, or to delete one that was not pruned.
_PRUNED_ALONE = "WHEN OLD.seq > coalesce((SELECT max(through_seq) FROM pruned), 0) "
for _verb, _when in (("UPDATE", ""), ("DELETE", _PRUNED_ALONE)):
    _trigger = sa.DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it without types
        f"CREATE TRIGGER event_no_{_verb.lower()} BEFORE {_verb} ON event {_when}"
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
    sa.event.listen(EVENT, "after_create", _trigger.execute_if(dialect="sqlite"))
