"""GET /metrics, in Prometheus' text format, computed from the store at each scrape: a restart loses no count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.roles import needs
from api.state import ApiState, State
from orchestrator.domain.access import Role
from orchestrator.domain.health import STANDING
from orchestrator.domain.incidents import FINAL, IncidentState
from orchestrator.domain.verdicts import Outcome
from orchestrator.fleet_state import fleet_state
from orchestrator.guard import breaker
from orchestrator.ports import Statistics

router = APIRouter(dependencies=[needs(Role.VIEWER)])

#: Seconds. A healing takes from 1 s to some minutes, the hold time aside.
#: States in which a host is being read.
READ = frozenset({"connected", "polling"})
BUCKETS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Healings(Collector):
    """The four names of the original description."""

    def __init__(self, counted: Statistics, seconds: tuple[float, ...]) -> None:
        self._counted, self._seconds = counted, seconds

    def collect(self) -> Iterable[Metric]:
        """Injected errors are left out, as in the statistics."""
        yield CounterMetricFamily("healing_attempts", "Act runs.", value=self._counted.total_attempts)
        yield CounterMetricFamily(
            "healing_success", "Attempts whose incident was healed.", value=self._counted.successful
        )
        yield CounterMetricFamily("healing_failure", "Attempts that ended otherwise.", value=self._counted.failed)
        buckets = [(str(limit), float(sum(one <= limit for one in self._seconds))) for limit in BUCKETS]
        yield HistogramMetricFamily(
            "healing_duration_seconds",
            "From a healing's first run to the end of its last one.",
            buckets=[*buckets, ("+Inf", float(len(self._seconds)))],
            sum_value=sum(self._seconds),
        )


class Fleet(Collector):
    """What is done by action, group and result; what waits, failed too often and was told; how hosts are read; what the
    model was asked."""

    def __init__(self, state: ApiState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """A host counts in each of its groups. Every count is of the store's record, so none starts at 0 again."""
        yield from self._acts()
        yield from self._waiting()
        yield from self._breakers()
        yield from self._notices()
        yield from self._hosts()
        yield from self._model()

    def _acts(self) -> Iterable[Metric]:
        groups = {host.name: host.groups for host in self._state.fleet.hosts()}
        counted: Counter[tuple[str, str, str]] = Counter()
        for host, action, state, number in self._state.store.acts_by_host():
            result = "healed" if state is IncidentState.HEALED else "failed" if state in FINAL else "pending"
            for group in groups.get(host) or ("ungrouped",):
                counted[(action, group, result)] += number
        acts = CounterMetricFamily(
            "healing_acts", "Act runs on hosts, by action, host group and result.", labels=["action", "group", "result"]
        )
        for labels, number in sorted(counted.items()):
            acts.add_metric(labels, number)
        yield acts

    def _waiting(self) -> Iterable[Metric]:
        standing = self._state.store.standing()
        incidents = GaugeMetricFamily(
            "healing_incidents", "Incidents under way or waiting for a person, by state.", labels=["state"]
        )
        for state in sorted(STANDING):
            incidents.add_metric([state.value], standing.get(state, 0))
        yield incidents
        turns = sum(one.outcome is Outcome.WAITS for one in self._state.store.places())
        queue = GaugeMetricFamily(
            "healing_queue_depth",
            "Incidents in each line: for a plan, for their turn among the fleet, and at their host.",
            labels=["line"],
        )
        queue.add_metric(["plan"], standing.get(IncidentState.OPEN, 0))
        queue.add_metric(["turn"], turns)
        queue.add_metric(["host"], max(0, standing.get(IncidentState.HEALING, 0) - turns))
        yield queue
        stopped = self._state.store.stopped() is not None
        yield GaugeMetricFamily("healing_stopped", "1 while the kill switch holds.", value=float(stopped))
        seen = self._state.store.worker_seen()
        yield GaugeMetricFamily(
            "healing_worker_seen_timestamp_seconds", "When a worker beat last.", value=seen.timestamp() if seen else 0.0
        )

    def _breakers(self) -> Iterable[Metric]:
        state = self._state
        fleet = fleet_state(state.store, state.fleet.hosts(), state.settings, datetime.now(UTC))
        breakers = GaugeMetricFamily(
            "healing_breaker_open",
            "1 while too much failed: of the fleet, of an action, or of the model.",
            labels=["breaker"],
        )
        for name, is_open in breaker.standing(fleet, sorted(one.id for one in state.actions)):
            breakers.add_metric([name], float(is_open))
        away = state.gauges().model_away
        if away is not None:
            breakers.add_metric(["model"], float(away))
        yield breakers

    def _notices(self) -> Iterable[Metric]:
        sent = CounterMetricFamily("healing_notify_messages", "Messages that were told.", labels=["channel"])
        failed = CounterMetricFamily("healing_notify_failures", "Tries to tell that failed.", labels=["channel"])
        held = GaugeMetricFamily("healing_notify_held", "Notices that wait to be told.", labels=["channel"])
        waiting = self._state.gauges().notices_held
        for channel in self._state.settings.notify:
            told = self._state.store.told(channel.name)
            sent.add_metric([channel.name], told.messages if told else 0)
            failed.add_metric([channel.name], told.failures if told else 0)
            held.add_metric([channel.name], waiting.get(channel.name, 0))
        yield from (sent, failed, held)

    def _hosts(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("healing_source_up", "1 where the host is being read.", labels=["host"])
        last = GaugeMetricFamily(
            "healing_source_last_record_timestamp_seconds",
            "When the host's newest record was written.",
            labels=["host"],
        )
        for one in self._state.reading():
            up.add_metric([one.host], float(one.state in READ))
            if one.last_record is not None:
                last.add_metric([one.host], one.last_record.timestamp())
        yield up
        yield last

    def _model(self) -> Iterable[Metric]:
        used = self._state.store.model_usage(datetime.fromtimestamp(0, UTC))
        yield CounterMetricFamily("healing_model_calls", "Requests to the model.", value=used.calls)
        yield CounterMetricFamily("healing_model_errors", "Requests that ended with an error.", value=used.failed)
        tokens = CounterMetricFamily("healing_model_tokens", "Tokens, by direction.", labels=["direction"])
        tokens.add_metric(["in"], used.tokens_in)
        tokens.add_metric(["out"], used.tokens_out)
        yield tokens
        yield CounterMetricFamily("healing_model_cost", "In the currency of the prices that are set.", value=used.cost)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "metrics"}}
)
def metrics(state: State) -> PlainTextResponse:
    """Text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Healings(state.store.statistics(), state.store.healing_seconds()))
    registry.register(Fleet(state))
    return PlainTextResponse(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
