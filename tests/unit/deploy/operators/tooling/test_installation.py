"""Which installation a command talks to."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.operators.tooling.installation import NoInstallation, find
from schemas.brokers import Brokers


@pytest.fixture
def state(tmp_path: Path) -> Path:
    stack = {
        "ready": True,
        "kafka": "127.0.0.1:1",
        "redis": "redis://127.0.0.1:2",
        "postgres": "postgresql://127.0.0.1:3/x",
        "gateways": [{"url": "http://127.0.0.1:8000", "admin": "http://127.0.0.1:4", "pid": 1}],
    }
    kept = {"brokers": 1, "shards": 8, "cluster_id": "c", "postgres_password": "p"}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    (tmp_path / "kept.json").write_text(json.dumps(kept | {"epochs": {"local": 17, "far:9": 99}}))
    return tmp_path


def test_the_local_stack_is_found_without_any_setting(state: Path) -> None:
    found = find({"STATE": str(state)})
    assert (found.need_kafka(), found.need_epoch()) == (Brokers("127.0.0.1:1"), 17)
    assert found.need_postgres() == "postgresql://127.0.0.1:3/x"
    assert found.url == "http://127.0.0.1:8000"


def test_the_environment_wins(state: Path) -> None:
    environ = {
        "STATE": str(state),
        "TALKLOG_KAFKA": "far:9",
        "TALKLOG_POSTGRES_DSN": "postgresql://far/x",
    }
    found = find(environ)
    assert (found.kafka, found.postgres, found.epoch) == (
        Brokers("far:9"),
        "postgresql://far/x",
        99,
    )
    assert find(environ | {"TALKLOG_EPOCH": "5"}).epoch == 5


def test_the_database_may_be_named_in_a_file(state: Path) -> None:
    (state / "dsn").write_text("postgresql://user:secret@far/x\n")
    environ = {"STATE": str(state), "TALKLOG_POSTGRES_DSN_FILE": str(state / "dsn")}
    assert find(environ).postgres == "postgresql://user:secret@far/x"
    with pytest.raises(NoInstallation, match="TALKLOG_POSTGRES_DSN_FILE"):
        find(environ | {"TALKLOG_POSTGRES_DSN_FILE": "/nowhere"})


def test_with_the_brokers_goes_their_way_in(state: Path) -> None:
    (state / "password").write_text("hush\n")
    way_in = {
        "TALKLOG_KAFKA_SECURITY": "SASL_PLAINTEXT",
        "TALKLOG_KAFKA_SASL_MECHANISM": "PLAIN",
        "TALKLOG_KAFKA_USER": "me",
        "TALKLOG_KAFKA_PASSWORD_FILE": str(state / "password"),
    }
    as_me = Brokers("far:9", "sasl_plaintext", "PLAIN", "me", "hush")
    assert find(way_in | {"STATE": str(state), "TALKLOG_KAFKA": "far:9"}).kafka == as_me
    # The stack's own brokers have a way in of their own, or none.
    assert find(way_in | {"STATE": str(state)}).kafka == Brokers("127.0.0.1:1")
    stack = json.loads((state / "stack.json").read_text()) | {"kafka_way_in": way_in}
    (state / "stack.json").write_text(json.dumps(stack))
    assert find({"STATE": str(state)}).kafka == replace(as_me, addresses="127.0.0.1:1")
    with pytest.raises(NoInstallation, match="TALKLOG_KAFKA_USER"):
        find({"TALKLOG_KAFKA": "far:9", "TALKLOG_KAFKA_USER": "me"})


def test_what_is_not_known_is_named_when_it_is_needed(tmp_path: Path) -> None:
    found = find({"STATE": str(tmp_path)})
    with pytest.raises(NoInstallation, match="TALKLOG_KAFKA"):
        found.need_kafka()
    with pytest.raises(NoInstallation, match="TALKLOG_POSTGRES_DSN"):
        found.need_postgres()
    with pytest.raises(NoInstallation, match="TALKLOG_EPOCH"):
        found.need_epoch()


def test_every_mistake_in_the_environment_is_named() -> None:
    with pytest.raises(NoInstallation) as told:
        find({"TALKLOG_EPOCH": "soon", "TALKLOG_KAFKAS": "x"})
    assert str(told.value).splitlines() == [
        "TALKLOG_KAFKAS: no such setting; meant TALKLOG_KAFKA?",
        "TALKLOG_EPOCH='soon': not a whole number",
    ]


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "kept.json").write_text(content)
    (tmp_path / "stack.json").write_text(content)
    found = find({"STATE": str(tmp_path)})
    assert (found.kafka, found.epoch) == (None, None)
