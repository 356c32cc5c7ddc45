"""The gateway's numbers for Prometheus, read from where they are kept when they are asked for."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.counters import Counters
from gateway.feed.followers import Followers


class GatewayMetrics(Collector):
    """Gives the counters and the present sizes."""

    def __init__(
        self, counters: Counters, followers: Followers, gauges: dict[str, Callable[[], float]]
    ) -> None:
        self._counters = counters
        self._followers = followers
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Give all metrics; called for each scrape."""
        counters = self._counters
        for name in counters.__dataclass_fields__:
            value = getattr(counters, name)
            if isinstance(value, int):
                yield CounterMetricFamily(
                    f"talklog_gateway_{name}", name.replace("_", " "), value=value
                )
        closed = CounterMetricFamily(
            "talklog_gateway_closed", "sockets closed by the gateway", labels=["code"]
        )
        for code, count in counters.closed.items():
            closed.add_metric([str(int(code))], count)
        yield closed
        yield _gauge("connections", self._followers.people)
        yield _gauge("sessions", self._followers.sessions)
        for name, read in self._gauges.items():
            yield _gauge(name, read())


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"talklog_gateway_{name}", name.replace("_", " "), value=value)
