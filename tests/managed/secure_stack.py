"""SECURE=1: all goes over TLS and with a password, and each tier may do what it needs, no more."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
import pytest
import redis

from deploy.local.postgres import dsn
from deploy.local.secured import Secured, named
from persister.store import Store, StoreUnavailable
from persister.timeouts import TIMEOUTS
from tests.end_to_end.reader import Reader
from tests.scripted_model.control import ModelControl, scripted_model
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, until, wait_until
from workers.history.redis_history import History, HistoryUnavailable, connect

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TIERS = ("gateway", "worker", "persister", "operator")


@pytest.fixture(scope="module")
def model() -> Iterator[ModelControl]:
    with scripted_model() as control:
        yield control


@pytest.fixture(scope="module")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("secure")
    with running_stack(folder, SECURE="1", OPENAI_BASE_URL=model.url) as stack:
        yield stack


@pytest.fixture(scope="module")
def secured(stack: RunningStack) -> Secured:
    return Secured(stack.state)


async def test_a_chat_goes_through_all_of_it(stack: RunningStack) -> None:
    url = stack.file.gateways[0].url
    async with Reader(url, "secret") as reader:
        await reader.ask("go [[key=secure tokens=30 rate=200]]", "m1")
        message = await reader.ended("m1")
    text = answer_text("secure", 1, 30)
    assert (message.state, message.text) == ("complete", text)
    with psycopg.connect(stack.file.postgres, autocommit=True) as connection:
        stored = "SELECT string_agg(content, '' ORDER BY chunk_sequence) FROM streaming_messages"

        def row() -> bool:
            return connection.execute(stored + " WHERE session_id = 'secret'").fetchone() == (text,)

        await until(row, WITHIN_S, "the answer's rows")
        tls = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        asked = connection.execute(tls + " WHERE client_port IS NOT NULL").fetchone()
        assert asked == (True,)
    with redis.Redis.from_url(stack.file.redis) as client:
        assert client.exists("session:secret")
        # The worker tells its load, the gateway that it lives: each as its own user.
        await until(lambda: client.hgetall("load"), WITHIN_S, "the worker's load")
        await until(lambda: client.hgetall("gateways"), WITHIN_S, "the gateway's name")
    logs = "".join(path.read_text() for path in (stack.state / "logs").glob("*.log"))
    assert "TALKLOG_REDIS_URL" not in logs
    # Another socket gets it from the table.
    async with Reader(url, "secret", "?history=10") as again:
        assert text in str(again.of_type("snapshot"))


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["topics"],
        ["topics", "--acls"],
        ["lag"],
        ["verify"],
        ["replay", "--session", "asked"],
        ["dead-letters", "list"],
        ["rebuild", "--compare"],
    ],
    ids=" ".join,
)
async def test_the_commands_work_on_it(stack: RunningStack, command: list[str]) -> None:
    message_id = "-".join(command).strip("-")
    async with Reader(stack.file.gateways[0].url, "asked") as reader:
        await reader.ask(f"go [[key={len(command)}{command[0]} tokens=3 rate=200]]", message_id)
        await reader.ended(message_id)

    def works() -> bool:
        # What is under way shows for a moment as lag, or as a row that is missing.
        return talklog(stack, *command, check=False).returncode == 0

    await until(works, WITHIN_S, lambda: str(talklog(stack, *command, check=False)))


def test_the_canary_of_a_gateway_that_may_not_write_into_the_session_log_comes_back(
    stack: RunningStack,
) -> None:
    """It was off: it began with the log. Without it a gateway that delivers nothing says ready."""
    metric = "talklog_gateway_canary_round_trip_seconds "

    def comes_back() -> bool:
        with urlopen(f"{stack.file.gateways[0].admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        [told] = [line for line in lines if line.startswith(metric)]
        return float(told.removeprefix(metric)) > 0

    wait_until(comes_back, WITHIN_S, "the canary comes back")
    log = (stack.state / "logs" / "gateway-1.log").read_text()
    assert "the canary was not sent" not in log


@pytest.mark.parametrize(("user", "may"), [("admin", True), ("operator", False)])
@pytest.mark.parametrize(
    "command", [["topics", "--acls", "--apply"], ["make-topics", "--wait", "0"]]
)
def test_topics_and_rights_are_the_administrators(
    stack: RunningStack, secured: Secured, user: str, may: bool, command: list[str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if "TALKLOG" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *command],
        env=environment
        | secured.way_in(user)
        | {"TALKLOG_KAFKA": stack.file.kafka, "TALKLOG_EPOCH": str(stack.epoch)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    # What is there already is made by anybody.
    may = may or command[0] == "make-topics"
    assert (done.returncode == 0) is may, done.stdout + done.stderr
    assert may or "ClusterAuthorizationFailed" in done.stderr


def test_what_is_secret_is_its_owners_alone(stack: RunningStack, secured: Secured) -> None:
    assert stat.S_IMODE(secured.folder.stat().st_mode) == 0o700
    open_to_others = [
        path
        for path in [*secured.folder.iterdir(), *stack.state.glob("*.json")]
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []
    secrets = [secured.password(user) for user in (*TIERS, "admin", "talklog-broker")]
    shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    logs = "".join(path.read_text(errors="replace") for path in stack.state.rglob("*.log"))
    assert [secret for secret in secrets if secret in shown or secret in logs] == []


@pytest.mark.parametrize("tier", TIERS)
def test_each_tier_reads_the_tables_and_the_persister_alone_writes(
    stack: RunningStack, secured: Secured, tier: str
) -> None:
    port = urlsplit(stack.file.postgres).port or 0
    place = dsn(port, secured.password(tier), user=named(tier), secured=secured)
    with psycopg.connect(place) as connection:
        connection.execute("SELECT * FROM conversation LIMIT 1")
        for statement in ("DELETE FROM kafka_offsets WHERE false", "DROP TABLE log_gaps"):
            may = tier == "persister" and statement.startswith("DELETE")
            try:
                with connection.transaction():
                    connection.execute(statement.encode())
                assert may, statement
            except psycopg.errors.InsufficientPrivilege:
                assert not may, statement


def test_each_tier_has_its_own_keys_in_redis(stack: RunningStack, secured: Secured) -> None:
    port = urlsplit(stack.file.redis).port or 0
    with (
        redis.Redis.from_url(secured.redis_url(port, "gateway")) as gateway,
        redis.Redis.from_url(secured.redis_url(port, "worker")) as worker,
    ):
        assert gateway.exists("message:1:{s}:m") == 0
        assert worker.get("session:nobody") is None
        for asked in (
            lambda: gateway.get("session:secret"),
            lambda: worker.get("message:1:{s}:m"),
            gateway.flushall,
            worker.config_get,
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                asked()


async def test_postgres_and_redis_refuse_by_the_settings_name(
    stack: RunningStack, secured: Secured, tmp_path: Path
) -> None:
    port, stranger = urlsplit(stack.file.postgres).port or 0, Secured(tmp_path)
    password = secured.password("persister")
    good = dsn(port, password, user=named("persister"), secured=secured)
    for place in (
        good.replace(password, "x"),
        good.replace("verify-full", "disable"),
        good.replace(str(secured.ca), str(stranger.ca)),
    ):
        store = Store(place, TIMEOUTS)
        with pytest.raises(StoreUnavailable, match="TALKLOG_POSTGRES_DSN: OperationalError"):
            await store.positions()
    url = secured.redis_url(urlsplit(stack.file.redis).port or 0, "worker")
    for wrong in (
        url.replace(secured.password("worker"), "x"),
        url.replace(f"{named('worker')}:{secured.password('worker')}@", ""),
        url.replace(str(secured.ca), str(stranger.ca)),
        secured.redis_url(urlsplit(stack.file.redis).port or 0, "gateway"),
    ):
        client = connect(wrong)
        history = History(client, now=lambda: NOW, budget_tokens=10)
        with pytest.raises(HistoryUnavailable, match="TALKLOG_REDIS_URL"):
            await history.load("s")
        await client.aclose()


@pytest.mark.parametrize("module", ["gateway", "workers", "persister"])
def test_a_process_with_a_wrong_password_says_so_in_a_line(
    stack: RunningStack, secured: Secured, tmp_path: Path, module: str
) -> None:
    tier = module.removesuffix("s")
    environment = {name: value for name, value in os.environ.items() if "TALKLOG" not in name}
    environment |= secured.way_in(tier) | {
        "TALKLOG_KAFKA": stack.file.kafka,
        "TALKLOG_EPOCH": str(stack.epoch),
        "TALKLOG_KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
        "TALKLOG_LOG_FORMAT": "json",
    }
    (tmp_path / "password").write_text("not it")
    output = tmp_path / "log"
    with output.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, stderr=log)
    try:

        def said() -> bool:
            return any("TALKLOG_KAFKA_USER" in str(line) for line in _lines(output))

        wait_until(said, WITHIN_S, output.read_text)
        assert "Traceback" not in output.read_text()
        assert "not it" not in output.read_text()
    finally:
        process.kill()
        process.wait()


def test_settings_that_contradict_each_other_end_a_process_at_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "TALKLOG" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "persister"],
        env=environment
        | {
            "TALKLOG_EPOCH": "1",
            "TALKLOG_KAFKA_SECURITY": "ssl",
            "TALKLOG_KAFKA_CA": "/nowhere.pem",
        },
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 2
    assert done.stderr == "settings: TALKLOG_KAFKA_CA='/nowhere.pem': No such file or directory\n"


def _lines(output: Path) -> list[Any]:
    lines = []
    for text in output.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            lines.append(text)
    return lines
