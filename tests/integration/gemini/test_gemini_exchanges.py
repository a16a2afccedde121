"""What is kept of each question and answer: whole, also where it failed, and never the key."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import choosers, settings
from orchestrator.detect.detector import Detector
from orchestrator.domain.exchanges import Exchange
from orchestrator.errors import BadReply, HealingError, ModelTimeout, StoreUnavailable
from orchestrator.record.store import open_store
from tests.support.gemini_case import KEY, NOW, case
from tests.support.gemini_case import asking as asked
from tests.support.gemini_server import Behaviour, GeminiServer, Reply, answer, envelope, failure

USAGE = {"promptTokenCount": 1500, "candidatesTokenCount": 60, "thoughtsTokenCount": 40, "totalTokenCount": 1600}


class Kept:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Exchange]] = []

    def __call__(self, incident_id: str, exchange: Exchange) -> None:
        self.told.append((incident_id, exchange))

    @property
    def one(self) -> Exchange:
        ((_, exchange),) = self.told
        return exchange


def right(**more: Any) -> Reply:
    return envelope('{"reason":"r","choice":{"action":"none"},"confidence":1}', **more)


def test_an_answer_is_kept_whole_with_what_was_shown(server: GeminiServer) -> None:
    reply, kept = right(usageMetadata=USAGE), Kept()
    server.script(reply)

    decision = asked(server.url, record=kept, price_in=0.3, price_out=2.5).choose(case())

    exchange = kept.one
    assert kept.told[0][0] == "inc-1"
    assert exchange.reply.encode() == reply.body
    assert (exchange.error, exchange.model, exchange.prompt_version) == ("", "m", "1")
    assert (exchange.tokens_in, exchange.tokens_out) == (1500, 100)
    assert exchange.cost == pytest.approx((1500 * 0.3 + 100 * 2.5) / 1e6)
    assert exchange.seconds > 0
    shown = json.loads(exchange.shown)
    (request,) = server.requests
    assert shown["text"] == request.prompt
    assert shown["system"] == request.body["systemInstruction"]["parts"][0]["text"]
    assert hashlib.sha256(exchange.shown.encode()).hexdigest() == exchange.shown_digest == decision.shown_digest


@pytest.mark.parametrize(
    ("behaviour", "code", "tokens"),
    [
        pytest.param(answer("format_disk"), "bad_reply", None, id="not offered"),
        pytest.param(envelope("I would restart it.", usageMetadata=USAGE), "bad_reply", 100, id="prose"),
        pytest.param(right(finish="MAX_TOKENS", usageMetadata=USAGE), "bad_reply", 100, id="cut"),
        pytest.param(Reply(body=b"<html>\xffok</html>", content_type="text/html"), "bad_reply", None, id="HTML"),
        pytest.param(failure(403, "PERMISSION_DENIED", "No."), "model_unavailable", None, id="refused"),
    ],
)
def test_what_failed_is_kept_too(server: GeminiServer, behaviour: Reply, code: str, tokens: int | None) -> None:
    kept = Kept()
    server.script(behaviour)

    with pytest.raises(HealingError):
        asked(server.url, record=kept).choose(case())

    assert kept.one.error == code
    assert kept.one.reply == behaviour.body.decode("utf-8", "replace")
    assert kept.one.tokens_out == tokens
    assert kept.one.cost is None


def test_each_try_is_an_exchange(server: GeminiServer, pauses: object) -> None:
    kept = Kept()
    server.script(failure(503, "UNAVAILABLE", "Later."), failure(429, "RESOURCE_EXHAUSTED", "Later."), right())

    asked(server.url, record=kept, pause=lambda _: None).choose(case())

    assert [exchange.error for _, exchange in kept.told] == ["model_busy", "model_busy", ""]
    assert len({exchange.shown_digest for _, exchange in kept.told}) == 1


def test_a_question_that_nobody_answers_in_time_is_kept(server: GeminiServer) -> None:
    kept = Kept()
    server.script(Reply(silent=True))

    with pytest.raises(ModelTimeout):
        asked(server.url, record=kept, timeout_seconds=0.3).choose(case())

    assert (kept.one.error, kept.one.reply, kept.one.tokens_in) == ("model_timeout", "", None)


def test_a_body_without_end_is_kept_as_far_as_it_was_read(server: GeminiServer) -> None:
    kept = Kept()
    server.script(Reply(endless=b"x" * 65536))

    with pytest.raises(BadReply, match="larger"):
        asked(server.url, record=kept).choose(case())

    assert kept.one.reply == "x" * 256 * 1024


@pytest.mark.parametrize("count", [-1, 10**12, None], ids=["negative", "more than there can be", "none"])
def test_a_count_that_can_not_be_true_is_none(server: GeminiServer, count: int | None) -> None:
    kept = Kept()
    server.script(right(usageMetadata={"promptTokenCount": count, "candidatesTokenCount": count}))

    asked(server.url, record=kept, price_in=1.0).choose(case())

    assert (kept.one.tokens_in, kept.one.tokens_out, kept.one.cost) == (None, None, None)


@pytest.mark.parametrize(
    "behaviour", [right(key=str(KEY)), failure(403, "PERMISSION_DENIED", f"{KEY} is no key")], ids=["answer", "error"]
)
def test_a_key_that_is_sent_back_is_not_kept(server: GeminiServer, behaviour: Behaviour) -> None:
    kept = Kept()
    server.script(behaviour)

    with suppress(HealingError):
        asked(server.url, record=kept).choose(case())

    assert KEY not in kept.one.reply
    assert "[key]" in kept.one.reply
    assert KEY not in kept.one.shown


def test_what_can_not_be_recorded_decides_nothing(server: GeminiServer) -> None:
    def full(_: str, __: Exchange) -> None:
        raise StoreUnavailable("The store is held.")

    server.script(answer("free_disk_space"))

    with pytest.raises(StoreUnavailable):
        asked(server.url, record=full).choose(case())


def test_a_model_that_is_away_is_replaced_by_the_embedded_chooser_after_three_failures(
    server: GeminiServer, tmp_path: Path
) -> None:
    config = tmp_path / "healer.toml"
    config.write_text(f'gemini_base_url = "{server.url}"\n', encoding="utf-8")
    kept = Kept()
    chooser = choosers.chooser(settings.load(config, {"GEMINI_API_KEY": str(KEY)}), kept)
    server.script(failure(403, "PERMISSION_DENIED", "Your project was closed."))
    for _ in range(2):
        with pytest.raises(HealingError, match="Your project was closed"):
            chooser.choose(case())

    decision = chooser.choose(case())

    assert decision.chooser == "embedded"
    assert "because gemini failed 3 times in a row (the last time: Gemini refused us" in decision.reason
    assert chooser.choose(case()).chooser == "embedded"
    assert len(server.requests) == len(kept.told) == 3


def test_the_settings_reach_the_wire(server: GeminiServer, tmp_path: Path) -> None:
    config = tmp_path / "healer.toml"
    config.write_text(
        f'gemini_base_url = "{server.url}"\ngemini_temperature = 0.25\ngemini_hide_addresses = true\n', encoding="utf-8"
    )
    server.script(right())

    choosers.chooser(settings.load(config, {"GEMINI_API_KEY": str(KEY)})).choose(
        case("10.0.0.5 refuses", "8.8.8.8 too")
    )

    (request,) = server.requests
    assert request.body["generationConfig"]["temperature"] == 0.25
    assert "private-address-1 refuses" in request.prompt
    assert "10.0.0.5" not in request.raw
    assert "8.8.8.8" in request.raw


def test_what_a_healing_asks_is_in_the_store(server: GeminiServer, tmp_path: Path) -> None:
    config = tmp_path / "healer.toml"
    config.write_text(f'gemini_base_url = "{server.url}"\nstate_dir = "state"\n', encoding="utf-8")
    loaded = settings.load(config, {"GEMINI_API_KEY": str(KEY)})
    store = open_store(loaded.database_url)
    signals = Detector(()).detect(case().records, NOW)
    (incident,) = store.absorb("secret-host", "journal", signals, None)
    server.script(right(usageMetadata=USAGE))

    chooser = choosers.remembering(loaded, store.precedents, store.record_exchange)
    decision = chooser.choose(replace(case(), incident_id=incident))

    (exchange,) = store.exchanges(incident)
    assert exchange.shown_digest == decision.shown_digest
    assert exchange.tokens_in == 1500
    assert [event.kind for event in store.events(incident_id=incident)] == ["incident.opened", "model.asked"]
    store.close()
