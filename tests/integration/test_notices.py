"""Apprise itself against receivers on loopback: what would reach Slack, PagerDuty, Teams, chats and a mailbox."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from apprise.plugins import discord, pagerduty, slack
from apprise.plugins.telegram import NotifyTelegram
from typer.testing import CliRunner

from orchestrator import settings, telling
from orchestrator.cli.main import app
from orchestrator.domain.hosts import Secret
from orchestrator.domain.notices import Channel, Level, Message, NoticeKind, Outcome
from orchestrator.errors import ConfigError
from orchestrator.notify.backlog import Batch, Notice
from orchestrator.notify.deliver import deliver
from orchestrator.notify.sending import Sender
from orchestrator.notify.wording import Wording
from orchestrator.settings import HOME
from orchestrator.testing import FakeFleet, MemoryStore
from tests.support.receivers import HttpReceiver, MailReceiver, Reply
from tests.unit.notify.test_wording import HOSTILE, LIVE, NOW

# Apprise looks for PGP, which looks for a module that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOME)}
NOTICE = Notice(
    seq=1,
    at=NOW,
    kind=NoticeKind.ESCALATED,
    event="incident.escalated",
    text=HOSTILE,
    incident_id="inc-1",
    host="web1",
    subject="nginx.service",
)
MADE = Wording("https://healer.example.org", str).of(Batch(notices=(NOTICE,)), [HOSTILE], ())
TITLE = "healing-bot: A person must look: nginx.service on web1"
LINK = "https://healer.example.org/incidents/inc-1"
MESSAGE = {"title": MADE.title, "body": MADE.body, "level": str(MADE.level)}
KEY = "aaaabbbbccccddddeeeeffff"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as made:
        yield made


def sent(receiver: HttpReceiver, url: str, level: Level = Level.FAILURE) -> Any:
    assert deliver(url, {**MESSAGE, "level": level}) == Outcome(ok=True)
    (request,) = receiver.requests
    return request.json


def inert(text: str) -> None:
    """Nothing of the hostile line is live, once our own link is taken out."""
    assert "@\N{WORD JOINER}channel" in text
    assert not LIVE.search(re.sub(r"[\r\n]", "", text).replace(LINK, ""))


def test_slack_gets_an_attachment_of_an_incoming_webhook(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.replies = [Reply(body=b"ok")]
    monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"{receiver.url}/services")

    body = sent(receiver, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23ops")

    assert receiver.requests[0].path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert receiver.requests[0].headers["Content-Type"].startswith("application/json")
    assert (body["channel"], body["mrkdwn"]) == ("#ops", False)
    (attachment,) = body["attachments"]
    assert attachment["title"] == TITLE
    assert re.fullmatch(r"#[0-9A-F]{6}", attachment["color"])
    # Slack takes &, < and > for control characters unless they are entities.
    assert "<" not in attachment["text"]
    assert LINK in attachment["text"]
    inert(attachment["text"])


def test_slack_gets_blocks_within_their_limits(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.replies = [Reply(body=b"ok")]
    monkeypatch.setattr(slack.NotifySlack, "webhook_url", receiver.url)

    (attachment,) = sent(receiver, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?blocks=yes")["attachments"]

    header, section, *_ = attachment["blocks"]
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert 0 < len(header["text"]["text"]) <= 150
    assert (section["type"], section["text"]["type"]) == ("section", "plain_text")
    assert 0 < len(section["text"]["text"]) <= 3000
    inert(section["text"]["text"])


@pytest.mark.parametrize(
    ("level", "severity"),
    [(Level.FAILURE, "critical"), (Level.WARNING, "warning"), (Level.INFO, "info"), (Level.SUCCESS, "info")],
)
def test_pagerduty_gets_an_event_of_version_2(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch, level: Level, severity: str
) -> None:
    receiver.replies = [Reply(status=202)]
    for region in pagerduty.PAGERDUTY_API_LOOKUP:
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, region, f"{receiver.url}/v2/enqueue")

    body = sent(receiver, f"pagerduty://{'a' * 32}@{'b' * 8}/healing-bot/fleet", level)

    assert (body["routing_key"], body["event_action"]) == ("a" * 32, "trigger")
    assert body["payload"]["severity"] == severity
    assert (body["payload"]["source"], body["payload"]["component"]) == ("healing-bot", "fleet")
    assert body["payload"]["summary"].startswith(TITLE)
    # What PagerDuty takes at most; what to do and where to look is within that.
    assert len(body["payload"]["summary"]) <= 1024
    assert LINK in body["payload"]["summary"]


def test_teams_gets_an_adaptive_card(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.replies = [Reply(status=202)]
    post = requests.post

    def plain(url: str, **options: Any) -> requests.Response:
        # A workflow is asked over TLS alone; the receiver has no certificate.
        return post(url.replace("https://", "http://", 1), **options)

    monkeypatch.setattr("apprise.plugins.workflows.requests.post", plain)

    body = sent(receiver, f"workflows://127.0.0.1:{receiver.port}/643a8f3b/{KEY}")

    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    blocks = [block["text"] for block in attachment["content"]["body"] if block["type"] == "TextBlock"]
    assert TITLE in blocks[0]
    # In a card's Markdown a backslash takes a character literally.
    shown = re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", "\n".join(blocks[1:]))
    assert LINK in shown
    inert(shown)


def test_discord_gets_a_message_that_rings_nobody(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.replies = [Reply(status=204, body=b"")]
    monkeypatch.setattr(discord.NotifyDiscord, "notify_url", receiver.url)

    body = sent(receiver, f"discord://123456789012345678/{KEY}")

    assert 0 < len(body["content"]) <= 2000
    assert not re.search(r"@(everyone|here)|<@|<#", body["content"])
    assert "@everyone" not in str(body.get("allowed_mentions", ""))
    inert(body["content"])


def test_telegram_gets_no_tag_that_a_host_wrote(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.replies = [Reply(body=b'{"ok":true,"result":{}}')]
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"{receiver.url}/bot")

    body = sent(receiver, "tgram://123456789:abcdefg_hijklmnop/12315544/")

    assert (body["chat_id"], body["parse_mode"]) == (12315544, "HTML")
    assert set(re.findall(r"<[^>]*>", body["text"])) <= {"<b>", "</b>"}


@pytest.mark.parametrize(
    ("url", "path", "field"),
    [
        ("mmost://127.0.0.1:{port}/" + KEY, f"/hooks/{KEY}", "text"),
        ("ntfy://127.0.0.1:{port}/ops", "/", "message"),
        ("gotify://127.0.0.1:{port}/" + KEY, "/message", "message"),
        ("json://127.0.0.1:{port}/hook", "/hook", "message"),
    ],
    ids=["mattermost", "ntfy", "gotify", "webhook"],
)
def test_services_of_ones_own_get_the_same(receiver: HttpReceiver, url: str, path: str, field: str) -> None:
    body = sent(receiver, url.format(port=receiver.port))

    assert receiver.requests[0].path == path
    assert TITLE in str(body)
    assert LINK in body[field]
    inert(body[field])


def test_mail_has_a_subject_on_one_line_and_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailReceiver() as receiver:
        url = f"mailto://127.0.0.1:{receiver.port}/?from=healer@example.org&to=ops@example.org"
        assert deliver(url, MESSAGE) == Outcome(ok=True)

    (mail,) = receiver.mails
    assert mail["Subject"] == TITLE
    assert mail["To"] == "ops@example.org"
    assert mail.get_content_type() == "text/plain"
    assert LINK in mail.get_content()
    inert(mail.get_content())


@pytest.mark.parametrize(
    ("reply", "problem", "wait"),
    [
        (Reply(status=500, body=KEY.encode()), "it answered with HTTP status 500.", 0.0),
        (Reply(status=429, headers={"Retry-After": "17"}), "it answered with HTTP status 429.", 17.0),
        (Reply(status=429, headers={"Retry-After": "99999999"}), "it answered with HTTP status 429.", 3600.0),
        (Reply(status=429, headers={"Retry-After": "Fri, 31 Dec"}), "it answered with HTTP status 429.", 0.0),
        (Reply(status=403), "it answered with HTTP status 403.", 0.0),
        (Reply(status=302, headers={"Location": "/elsewhere"}), "it answered with HTTP status 302.", 0.0),
    ],
    ids=str,
)
def test_a_refusal_is_a_sentence_without_the_key_and_no_redirect_takes_it_along(
    receiver: HttpReceiver, reply: Reply, problem: str, wait: float
) -> None:
    receiver.replies = [reply]

    outcome = deliver(f"mmost://127.0.0.1:{receiver.port}/{KEY}", MESSAGE)

    assert outcome == Outcome(ok=False, problem=problem, wait=wait)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("url", [f"mmost://127.0.0.1:9/{KEY}", f"mailto://user:{KEY}@127.0.0.1:9/?to=a@b.example"])
def test_nobody_there_is_a_sentence_without_the_key(url: str) -> None:
    outcome = deliver(url, MESSAGE)

    assert not outcome.ok
    assert outcome.problem
    assert KEY not in outcome.problem


@pytest.mark.parametrize("url", [f"nosuch://{KEY}", "slack://", f"mmost://{KEY}"])
def test_what_apprise_does_not_understand_is_told_before_anything_is_sent(url: str) -> None:
    outcome = deliver(url, None)

    assert not outcome.ok
    assert "does not understand its URL" in outcome.problem
    assert KEY not in outcome.problem


def documented() -> list[str]:
    text = (HOME / "docs/notifications.md").read_text(encoding="utf-8").split("## Services")[1].split("\n## ")[0]
    found = re.findall(r"^\|[^|]+\| `([a-z]+://[^`]+)`", text, re.MULTILINE)
    words = {
        "INTEGRATION_KEY": "a" * 32,
        "API_KEY": "b" * 8,
        "WORKFLOW": "c" * 32,
        "WEBHOOK_ID": "1" * 18,
        "WEBHOOK_TOKEN": "d" * 40,
        "BOT_TOKEN": "123456789:abcdefg_hijklmnop",
        "CHAT_ID": "12315544",
        "WEBHOOK_KEY": "e" * 26,
        "SIGNATURE": "f" * 20,
    }
    for word, value in words.items():
        found = [url.replace(word, value) for url in found]
    return found


@pytest.mark.parametrize("url", documented(), ids=lambda url: url.split(":")[0])
def test_every_url_that_the_page_shows_is_one_that_apprise_takes(url: str) -> None:
    assert deliver(url, None) == Outcome(ok=True)


def channel(url: str, **changed: Any) -> Channel:
    return Channel(**{"name": "ops", "url": Secret(url), **changed})


MINE = Message(title="t", body="b", level=Level.INFO)


def test_the_child_delivers_and_our_own_process_never_loads_apprise(receiver: HttpReceiver) -> None:
    outcome = Sender(ENVIRONMENT)(channel(f"json://127.0.0.1:{receiver.port}/"), MINE)

    assert outcome == Outcome(ok=True)
    assert receiver.requests[0].json["title"] == "t"
    # Nothing of ours but the child names it.
    names = [path.name for path in (HOME / "orchestrator").rglob("*.py") if "import Apprise" in path.read_text()]
    assert names == ["deliver.py"]


def test_a_receiver_that_never_answers_is_left_after_so_long(receiver: HttpReceiver) -> None:
    receiver.replies = [Reply(silent=True)]

    # rto: Apprise's own limit, which a receiver that drips its answer outlives.
    url = f"json://127.0.0.1:{receiver.port}/{KEY}?rto=600"
    outcome = Sender(ENVIRONMENT, seconds=3.0)(channel(url), MINE)

    assert outcome == Outcome(ok=False, problem="it gave no answer within 3 s.", unsure=True)


def test_a_worker_that_ends_does_not_wait_for_a_receiver(receiver: HttpReceiver) -> None:
    receiver.replies = [Reply(silent=True)]
    ended = threading.Event()

    def asked() -> bool:
        if receiver.requests:
            ended.set()
        return ended.is_set()

    outcome = Sender(ENVIRONMENT, asked)(channel(f"json://127.0.0.1:{receiver.port}/?rto=600"), MINE)

    assert outcome == Outcome(ok=False, problem="healer serve ends.", unsure=True)


def test_a_variable_that_is_not_set_and_a_child_that_dies_are_sentences(tmp_path: Path) -> None:
    unset = Channel(name="a", url=None, url_env="PAGER")
    broken = Sender({**ENVIRONMENT, "PYTHONHOME": str(tmp_path)})

    assert Sender(ENVIRONMENT)(unset, MINE).problem == "the environment variable PAGER is not set."
    assert [one.ok for one in Sender(ENVIRONMENT).understood((unset, channel("json://h/"), channel("no://h")))] == [
        False,
        True,
        False,
    ]
    assert Sender(ENVIRONMENT).understood(()) == ()
    assert broken(channel("json://h/"), MINE).problem.startswith("the process that tells people ended with")


@pytest.fixture
def config(tmp_path: Path, receiver: HttpReceiver) -> Path:
    path = tmp_path / "healer.toml"
    path.write_text(
        f"""
api_url = "https://healer.example.org"
[[notify]]
name = "good"
url = "mmost://127.0.0.1:{receiver.port}/{KEY}"
[[notify]]
name = "bad"
url = "mmost://127.0.0.1:9/{KEY}"
""",
        encoding="utf-8",
    )
    path.chmod(0o644)
    return path


def test_the_command_line_tries_each_channel_and_never_shows_a_url(config: Path, receiver: HttpReceiver) -> None:
    def typed(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["--config", str(config), "notify", *words])
        assert KEY not in result.output
        return result.exit_code, result.output

    code, said = typed("test")
    assert code == 1
    assert "ok   good: it took the message" in said
    assert "BAD  bad:" in said
    assert typed("test", "good") == (0, "ok   good: it took the message\n")
    assert receiver.requests[0].json["text"].startswith("healing-bot: A test of the channel good")
    code, said = typed("list")
    assert code == 0
    assert "mmost" in said
    loaded = settings.load(config, {})
    with pytest.raises(ConfigError, match=r"There is no channel 'goood'\. Did you mean 'good'\?"):
        telling.chosen(loaded, "goood")


def test_doctor_names_channels_that_can_be_told_and_a_file_that_shows_their_urls(config: Path) -> None:
    loaded = settings.load(config, {})

    found = list(telling.checks(loaded, MemoryStore().told))

    assert [(check.name, check.ok) for check in found] == [
        ("notify good", True),
        ("notify bad", True),
        ("notify", False),
    ]
    assert "can be read by others and holds the URL of good, bad" in found[2].text
    assert KEY not in str(found)


def test_serve_refuses_a_channel_that_could_never_be_told(config: Path) -> None:
    config.write_text('[[notify]]\nname = "ops"\nurl_env = "PAGER"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"ops: url_env: the .* PAGER is not set\. Nothing was started\."):
        telling.notifier(settings.load(config, {}), MemoryStore(), FakeFleet(), lambda: False)


def test_serve_refuses_a_url_that_nobody_understands_and_names_one_that_is(config: Path) -> None:
    config.write_text('[[notify]]\nname = "ops"\nurl = "nosuch://host/key"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"ops: url: Apprise does not understand.*Accepted is .*slack://") as refused:
        telling.notifier(settings.load(config, {}), MemoryStore(), FakeFleet(), lambda: False)
    assert "nosuch" not in str(refused.value)


def test_serve_begins_though_its_channels_could_not_be_looked_at_in_time(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telling, "Sender", lambda environment, ended: Sender(environment, ended, seconds=0.0))
    loaded = settings.load(config, {})

    made = telling.notifier(loaded, MemoryStore(), FakeFleet(), lambda: False)

    assert len(made.tellers) == 2
    assert ["good" in caplog.text, "bad" in caplog.text, KEY in caplog.text] == [True, True, False]
    assert [check.ok for check in telling.checks(loaded, MemoryStore().told)][:2] == [None, None]
