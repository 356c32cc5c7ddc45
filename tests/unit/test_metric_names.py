"""The names of metrics on the pages are exported ones: an alert on another never fires."""

import importlib
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from deploy.operators.lag.exporter import LagMetrics
from gateway.counters import Counters
from gateway.feed.followers import Followers
from gateway.metrics import GatewayMetrics
from gateway.parts import counts_of, gauges_of
from workers import metrics

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = (
    "workers.metrics",
    "persister.metrics",
    "schemas.process.loop_watchdog",
    "schemas.process.reader_watch",
)
NAME = re.compile(r"`(talklog_[a-z_]+)")
ENDINGS = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}


def exported() -> set[str]:
    for module in MODULES:
        importlib.import_module(module)
    show_a_worker()
    families: list[Metric] = [
        *REGISTRY.collect(),
        *of_the_gateway().collect(),
        *LagMetrics().collect(),
    ]
    return {
        f"{family.name}{ending}" for family in families for ending in ENDINGS.get(family.type, [""])
    }


@cache
def show_a_worker() -> None:
    """Register what a worker shows of its parts: once, for the registry is the process's."""
    membership = SimpleNamespace(unfinished=0, waiting_for_history=0)
    admission = SimpleNamespace(waited_s=lambda now_s: 0.0)
    intake: Any = SimpleNamespace(membership=membership, owned=[], admission=admission)
    metrics.show(intake, float)


class Anything:
    def __getattr__(self, name: str) -> object:
        return lambda: 0


def of_the_gateway() -> GatewayMetrics:
    part: object = Anything()
    counts = dict.fromkeys(counts_of(part, part, part), float)  # type: ignore[arg-type]
    gauges = dict.fromkeys(gauges_of(part, part, part), float)  # type: ignore[arg-type]
    return GatewayMetrics(Counters(), Followers(1), counts, gauges)


def test_every_metric_that_a_page_names_is_exported() -> None:
    named = {name for page in PAGES for name in NAME.findall(page.read_text())}
    assert len(named) > 10
    assert named - exported() == set()


def test_what_only_grows_is_called_a_counter_and_nothing_else_is() -> None:
    kinds = {
        family.name.removeprefix("talklog_gateway_"): family.type
        for family in of_the_gateway().collect()
    }
    assert {name for name, kind in kinds.items() if kind == "gauge"} == {
        "connections",
        "sessions",
        "redis_away",
        "dead_shards",
        "shard_log_bytes",
        "shards_read",
        "canary_round_trip_seconds",
    }
    assert kinds["scans"] == kinds["producers_replaced"] == "counter"
