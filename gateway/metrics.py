"""The gateway's numbers for Prometheus, read from where they are kept when they are asked for."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.counters import Counters
from gateway.feed.followers import Followers


class GatewayMetrics(Collector):
    """Gives the counters and the present sizes.

    `counts` are kept elsewhere and only grow; `gauges` go up and down.
    """

    def __init__(
        self,
        counters: Counters,
        followers: Followers,
        counts: Mapping[str, Callable[[], float]],
        gauges: Mapping[str, Callable[[], float]],
    ) -> None:
        self._counters = counters
        self._followers = followers
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Give all metrics; called for each scrape."""
        counters = self._counters
        for name in counters.__dataclass_fields__:
            value = getattr(counters, name)
            if isinstance(value, int):
                yield _counter(name, value)
        for name, read in self._counts.items():
            yield _counter(name, read())
        closed = {str(int(code)): count for code, count in counters.closed.items()}
        yield _by_code("closed", "sockets closed by the gateway", closed)
        yield _by_code("refused", "errors that clients were told", counters.refused)
        yield _by("limited", "limits that clients met", "limit", counters.limited)
        yield _gauge("connections", self._followers.people)
        yield _gauge("sessions", self._followers.sessions)
        for name, read in self._gauges.items():
            yield _gauge(name, read())


def _counter(name: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"talklog_gateway_{name}", name.replace("_", " "), value=value)


def _by_code(name: str, what: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    return _by(name, what, "code", counts)


def _by(name: str, what: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"talklog_gateway_{name}", what, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"talklog_gateway_{name}", name.replace("_", " "), value=value)
