"""GET /metrics, in Prometheus' text format, computed from the store at each scrape: a restart loses no count."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.roles import needs
from api.state import State
from orchestrator.domain.access import Role
from orchestrator.ports import Statistics

router = APIRouter(dependencies=[needs(Role.VIEWER)])

#: Seconds. A healing takes from 1 s to some minutes, the hold time aside.
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


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "metrics"}}
)
def metrics(state: State) -> PlainTextResponse:
    """Text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Healings(state.store.statistics(), state.store.healing_seconds()))
    return PlainTextResponse(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
