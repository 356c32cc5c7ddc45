"""stack.json has the shape that scripts rely on."""

import json
from dataclasses import dataclass
from pathlib import Path

from deploy.local.stack_file import StackFile, read, with_processes, write


@dataclass
class Row:
    kind: str
    name: str
    address: str
    admin: str
    pid: int


ROWS = [
    Row("gateway", "gateway-1", "http://127.0.0.1:8000", "http://127.0.0.1:9100", 1),
    Row("worker", "worker-1", "http://127.0.0.1:9101", "http://127.0.0.1:9101", 2),
    Row("persister", "persister-1", "http://127.0.0.1:9102", "http://127.0.0.1:9102", 3),
    Row("kafka", "kafka", "127.0.0.1:9092", "", 4),
    Row("postgres", "postgres", "127.0.0.1:5432", "", 5),
    Row("redis", "redis", "redis://127.0.0.1:6379/0", "", 6),
    Row("model", "model", "http://127.0.0.1:7000/v1", "", 7),
]


def test_its_shape_is_the_promised_one(tmp_path: Path) -> None:
    servers = StackFile(
        ready=True,
        kafka="127.0.0.1:9092",
        redis="redis://127.0.0.1:6379/0",
        postgres="postgresql://u@127.0.0.1/d",
        model="http://127.0.0.1:7000/v1",
    )
    write(tmp_path, with_processes(servers, ROWS))
    assert json.loads((tmp_path / "stack.json").read_text()) == {
        "ready": True,
        "kafka": "127.0.0.1:9092",
        "redis": "redis://127.0.0.1:6379/0",
        "postgres": "postgresql://u@127.0.0.1/d",
        "model": "http://127.0.0.1:7000/v1",
        "gateways": [{"url": "http://127.0.0.1:8000", "admin": "http://127.0.0.1:9100", "pid": 1}],
        "workers": [{"admin": "http://127.0.0.1:9101", "pid": 2}],
        "persisters": [{"admin": "http://127.0.0.1:9102", "pid": 3}],
        "brokers": [{"address": "127.0.0.1:9092", "pid": 4}],
        "others": {"postgres": 5, "redis": 6, "model": 7},
    }
    assert (tmp_path / "stack.json").stat().st_mode & 0o077 == 0, "it holds a password"


def test_processes_replace_those_told_before() -> None:
    first = with_processes(StackFile(), ROWS)
    second = with_processes(first, ROWS[3:4])
    assert second.gateways == []
    assert [each.pid for each in second.brokers] == [4]


def test_a_broken_or_missing_file_is_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    (tmp_path / "stack.json").write_text('{"ready": tr')
    assert read(tmp_path) is None
