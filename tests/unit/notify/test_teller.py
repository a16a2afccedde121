"""One channel over a ledger: nothing lost, nothing asked twice, nothing blocked."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain.hosts import Connection, Host
from orchestrator.domain.ids import Signature, approval_id
from orchestrator.domain.incidents import FLOOD, OPENED_MAX, IncidentState, Signal, Subject, SubjectKind
from orchestrator.domain.notices import Channel, Message, NoticeKind, Outcome, Told
from orchestrator.domain.records import LogRecord, Severity
from orchestrator.domain.verdicts import Answer, Approval
from orchestrator.domain.windows import read_window
from orchestrator.errors import StoreUnavailable
from orchestrator.notify.teller import FIRST_PAUSE, LAST_PAUSE, NOTE_EVERY, Teller, Tellers
from orchestrator.notify.wording import Wording
from orchestrator.testing import FakeFleet, MemoryStore

START = datetime(2026, 1, 31, 8, tzinfo=UTC)
UNDER_WAY = (IncidentState.OPEN, IncidentState.PENDING_APPROVAL)


class Stage:
    """A store, a clock, a channel, and a receiver that answers as told."""

    def __init__(self, **channel: Any) -> None:
        self.seconds = 0.0
        self.store = MemoryStore(clock=lambda: self.now)
        self.channel = Channel(**{"name": "ops", "url": None, **channel})
        self.outcomes: list[Outcome] = []
        self.tried: list[Message] = []
        self.arrived: list[Message] = []
        local = Connection(kind="local", address="")
        self.fleet = FakeFleet(*(Host(name=f"web{number}", groups=("web",), connection=local) for number in range(30)))
        self.teller = self.make()
        self.teller.turn()

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def make(self) -> Teller:
        """As a restart does."""
        wording = Wording("http://h", lambda text: text)
        return Teller(
            self.channel,
            self.store,
            self.fleet,
            self.send,
            wording,
            now=lambda: self.now,
            clock=lambda: 1000 + self.seconds,
        )

    def send(self, channel: Channel, message: Message) -> Outcome:
        self.tried.append(message)
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome(ok=True)
        self.arrived += [message] if outcome.ok else []
        return outcome

    def pass_(self, seconds: float) -> None:
        """Turn after turn, one a second."""
        for _ in range(int(seconds)):
            self.seconds += 1
            self.teller.turn()

    def open(self, host: str = "web1", severity: Severity = Severity.ERROR) -> str:
        record = LogRecord(time=self.now, host=host, unit="nginx.service", priority=3, message="it died")
        subject = Subject(kind=SubjectKind.UNIT, name=f"nginx{len(self.store.events())}.service")
        signal = Signal(
            record=record, signature=Signature("s"), template="it died", subject=subject, severity=severity, age=0.0
        )
        return next(iter(self.store.absorb(host, "journal", [signal], None)), "")

    def escalate(self, host: str = "web1", reason: str = "no action helps", **options: Any) -> str:
        incident_id = self.open(host, **options)
        self.store.move(incident_id, IncidentState.ESCALATED, reason, expected=UNDER_WAY)
        return incident_id

    def ask(self, host: str = "web1", hours: float = 1) -> Approval:
        incident_id = self.open(host)
        approval = Approval(
            id=approval_id(incident_id),  # type: ignore[arg-type]  # an id as text
            incident_id=incident_id,
            host=host,
            action="restart_service",
            parameters={},
            digest="d",
            rule="mode",
            reason="it died",
            asked_at=self.now,
            expires_at=self.now + timedelta(hours=hours),
        )
        self.store.ask(approval)
        self.store.move(incident_id, IncidentState.PENDING_APPROVAL, "waits", expected=UNDER_WAY)
        return approval

    @property
    def titles(self) -> list[str]:
        return [one.title.removeprefix("healing-bot: ") for one in self.arrived]


def test_what_was_before_the_channel_is_not_told() -> None:
    stage = Stage()
    stage.channel = Channel(name="new", url=None)
    stage.escalate()
    stage.teller = stage.make()
    stage.pass_(60)

    assert stage.tried == []


def test_incidents_within_the_window_are_one_message() -> None:
    stage = Stage()
    for number in range(7):
        stage.escalate(f"web{number % 5}")
        stage.pass_(3)
    assert stage.tried == []
    stage.pass_(30)

    assert stage.titles == ["7 incidents escalated on 5 hosts"]


def test_a_single_one_shows_its_newest_line() -> None:
    stage = Stage()
    stage.escalate()
    stage.pass_(31)

    assert "It logged: it died" in stage.arrived[0].body


def test_a_question_is_asked_soon_and_not_once_it_is_answered() -> None:
    stage = Stage()
    stage.ask("web1")
    stage.pass_(6)
    assert stage.titles == ["May I? restart_service on web1"]
    second = stage.ask("web2")
    stage.store.answer(second.id, Answer.APPROVED, actor="ann", reason="go", now=stage.now)
    stage.pass_(60)

    assert len(stage.tried) == 1


def test_a_question_that_nobody_answered_lapses_and_other_ends_are_not_told() -> None:
    stage = Stage()
    asked = stage.ask()
    stage.pass_(6)
    stage.store.move(asked.incident_id, IncidentState.EXPIRED, "nobody answered", expected=UNDER_WAY)
    old = stage.escalate("web2")
    stage.pass_(40)
    stage.store.move(old, IncidentState.EXPIRED, "quiet", expected=(IncidentState.ESCALATED,))
    stage.pass_(40)

    assert [title.partition(":")[0] for title in stage.titles[1:]] == ["A person must look", "Nobody answered"]


def test_a_flooding_host_is_told_once_though_its_incident_was_never_moved() -> None:
    stage = Stage(severity=Severity.CRITICAL)
    for _ in range(OPENED_MAX + 3):
        stage.open(severity=Severity.CRITICAL)
    stage.pass_(40)

    assert stage.titles == [f"A person must look: {FLOOD.name} on web1"]
    assert "A person must look at the host." in stage.arrived[0].body


def test_severity_and_groups_are_asked_of_the_incident_and_its_host() -> None:
    stage = Stage(severity=Severity.ERROR, groups=frozenset({"db"}), events=frozenset(NoticeKind))
    stage.escalate("web1")
    stage.escalate("gone", severity=Severity.WARNING)
    stage.escalate("gone")
    stage.store.stop(actor="ann", reason="storm")
    stage.pass_(40)

    assert stage.titles == ["All healing is stopped", stage.titles[1]]
    assert stage.titles[1].endswith("on gone")


def test_a_dead_receiver_is_asked_ever_less_often_and_told_all_at_its_return() -> None:
    stage = Stage()
    stage.outcomes = [Outcome(ok=False, problem="it answered with HTTP status 500.")] * 4
    stage.escalate("web1")
    stage.pass_(31)
    assert len(stage.tried) == 1
    stage.escalate("web2")
    pauses = []
    for _ in range(4):
        tries, began = len(stage.tried), stage.seconds
        while len(stage.tried) == tries:
            stage.pass_(1)
        pauses.append(stage.seconds - began)

    assert pauses == [5, 10, 20, 40]
    assert stage.titles == ["2 incidents escalated on 2 hosts"]
    told = stage.store.told("ops")
    assert told is not None
    assert (told.messages, told.failures, told.problem) == (1, 4, "")


@pytest.mark.parametrize(
    ("asked", "pause"), [(0.0, FIRST_PAUSE), (2.0, FIRST_PAUSE), (70.0, 70.0), (86400.0, LAST_PAUSE)]
)
def test_a_receiver_that_asks_to_wait_is_given_that(asked: float, pause: float) -> None:
    stage = Stage()
    stage.outcomes = [Outcome(ok=False, problem="it answered with HTTP status 429.", wait=asked)]
    stage.escalate()
    stage.pass_(31)
    stage.pass_(pause - 1)
    assert len(stage.tried) == 1
    stage.pass_(1)
    assert len(stage.arrived) == 1


def test_a_failure_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.outcomes = [Outcome(ok=False, problem="nobody there.")] * 1000
    stage.escalate()
    with caplog.at_level(logging.WARNING):
        stage.pass_(31 + 5 + 10 + 20 + 40 + 1)

    assert [record.message for record in caplog.records] == [
        "notify.failed ops could not be told (1 tries): nobody there. Nothing is lost; it is tried again.",
        "notify.failed ops could not be told (5 tries): nobody there. Nothing is lost; it is tried again.",
    ]
    told = stage.store.told("ops")
    assert told is not None
    assert (told.failures, told.problem) == (5, "nobody there.")


def test_a_crash_loses_nothing_and_repeats_nothing_that_was_recorded() -> None:
    stage = Stage()
    stage.escalate("web1")
    stage.ask("web2")
    stage.pass_(6)
    # Killed here: the question was told, the incident that is older was not.
    stage.teller = stage.make()
    stage.pass_(31)
    stage.teller = stage.make()
    stage.pass_(60)

    assert len(stage.titles) == 2
    assert stage.titles[0].startswith("May I?")
    assert stage.titles[1].endswith("on web1")


def test_what_a_long_outage_left_is_one_message() -> None:
    stage = Stage()
    for number in range(1300):
        # Past the store's limit for one host.
        stage.store.append("switch.stopped", text=f"stop {number}")
    stage.escalate("web3")
    stage.seconds += 3 * 3600
    stage.teller = stage.make()
    stage.pass_(10)

    assert stage.titles == ["1301 notices came late"]
    assert "- 1 incidents escalated on 1 host" in stage.arrived[0].body


def test_a_question_that_is_still_open_after_an_outage_is_asked() -> None:
    stage = Stage()
    stage.ask("web1", hours=9)
    stage.ask("web2", hours=1)
    stage.seconds += 3 * 3600
    stage.pass_(10)

    assert stage.titles == ["May I? restart_service on web1"]


def test_the_hour_has_so_many_messages_and_what_waited_is_in_the_next() -> None:
    stage = Stage(per_hour=4, window_seconds=1.0)
    for number in range(10):
        stage.escalate(f"web{number}")
        stage.pass_(60)
    assert len(stage.arrived) == 3
    stage.ask("web20")
    stage.pass_(10)
    assert stage.titles[3] == "May I? restart_service on web20"
    stage.pass_(3600)

    assert stage.titles[4:] == ["7 incidents escalated on 7 hosts"]
    assert stage.arrived[4].body.endswith("because the channel's messages of the hour were spent.")


def test_what_quiet_hours_held_back_is_one_message_after_them() -> None:
    begin, end = START, START + timedelta(hours=3)
    stage = Stage(quiet=(read_window(f"{begin:%H:%M}-{end:%H:%M} UTC"),), window_seconds=1.0)
    for number in range(3):
        stage.escalate(f"web{number}")
        stage.pass_(600)
    assert stage.titles == []
    stage.ask("web4")
    stage.pass_(10)
    assert stage.titles == ["May I? restart_service on web4"]
    stage.seconds += 3 * 3600
    stage.pass_(3)

    assert stage.titles[1:] == ["3 notices came late"]


def test_a_restart_does_not_begin_the_hour_anew() -> None:
    stage = Stage(per_hour=2, window_seconds=0.0)
    stage.escalate("web1")
    stage.pass_(2)
    stage.teller = stage.make()
    stage.escalate("web2")
    stage.pass_(60)

    assert len(stage.arrived) == 1


class Broken(MemoryStore):
    """A store that can be cut off."""

    down = False

    def newest(self) -> int:
        if self.down:
            raise StoreUnavailable("The disk is full.")
        return super().newest()

    def record_told(self, told: Told) -> None:
        if self.down:
            raise StoreUnavailable("The disk is full.")
        super().record_told(told)


def test_an_alarm_needs_no_store_and_the_newest_word_counts() -> None:
    stage = Stage()
    stage.store = store = Broken(clock=lambda: stage.now)
    store.down = True
    stage.teller = stage.make()
    tellers = Tellers((stage.teller,))
    tellers.alarm("store.down", "The disk is full.")
    with pytest.raises(StoreUnavailable):
        stage.teller.turn()
    assert stage.titles == ["Nothing can be recorded, so nothing acts"]
    store.down = False
    tellers.alarm("store.down", "The disk is full.")
    tellers.alarm("store.back", "The store can be written again.")
    stage.pass_(1)

    assert stage.titles[1:] == ["The store can be written again"]
    told = store.told("ops")
    assert told is not None
    assert (told.messages, len(told.sent)) == (2, 2)


def test_alarms_go_to_channels_that_hear_of_the_store() -> None:
    stage = Stage(events=frozenset({NoticeKind.ESCALATED}))
    Tellers((stage.teller,)).alarm("store.down", "full")
    stage.pass_(1)

    assert stage.tried == []


def test_a_place_that_could_not_be_recorded_is_recorded_later_and_nothing_told_twice() -> None:
    stage = Stage(window_seconds=0.0)
    stage.store = store = Broken(clock=lambda: stage.now)
    stage.teller = stage.make()
    stage.teller.turn()
    stage.escalate()
    store.down = True
    with pytest.raises(StoreUnavailable):
        stage.teller.turn()
    with pytest.raises(StoreUnavailable):
        stage.teller.turn()
    store.down = False
    stage.pass_(1)
    stage.teller = stage.make()
    stage.pass_(60)

    assert len(stage.arrived) == 1


def test_a_busy_ledger_in_which_nothing_is_to_be_told_is_not_read_again_from_its_begin() -> None:
    stage = Stage()
    for _ in range(NOTE_EVERY):
        stage.store.append("healing.note", text="so")
    stage.pass_(1)

    told = stage.store.told("ops")
    assert told is not None
    assert set(told.through.values()) == {NOTE_EVERY}


def test_a_store_that_was_put_back_is_told_from_its_end_and_a_new_kind_too() -> None:
    stage = Stage()
    stage.store.record_told(Told(channel="ops", through={"escalated": 10_000}))
    stage.escalate("web1")
    stage.teller = stage.make()
    stage.teller.turn()
    stage.escalate("web2")
    stage.pass_(31)

    assert [title[-4:] for title in stage.titles] == ["web2"]
