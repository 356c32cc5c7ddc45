"""What the lag exporter shows, and what it must not show."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from deploy.operators.lag.exporter import LagMetrics
from tests.unit.deploy.operators.lag.test_report import samples


def shown(metrics: LagMetrics) -> list[str]:
    registry = CollectorRegistry()
    registry.register(metrics)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_each_shard_of_each_group_has_its_figures() -> None:
    metrics = LagMetrics()
    metrics.show(*samples())
    lines = shown(metrics)
    workers = 'group="talklog-workers",shard="0",topic="user_messages"'
    assert f"talklog_lag_records{{{workers}}} 1080.0" in lines
    assert f"talklog_lag_seconds{{{workers}}} 2.5" in lines
    assert f"talklog_lag_health{{{workers}}} 0.0" in lines
    assert 'talklog_lag_processes{group="talklog-workers"} 2.0' in lines
    assert {"talklog_lag_up 1.0", "talklog_lag_unseen 0.0"} <= set(lines)
    assert metrics.failing() == []


def test_while_kafka_is_away_no_old_figure_is_shown() -> None:
    metrics = LagMetrics()
    metrics.show(*samples())
    metrics.forget("Kafka: no broker answers")
    assert shown(metrics) == ["talklog_lag_up 0.0"]
    assert metrics.failing() == ["Kafka: no broker answers"]
