"""A reader that stops without an error is noticed: the process says so, and ends to be replaced."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.ports import free_run
from deploy.local.program import wrapped
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.stack import RunningStack

pytestmark = pytest.mark.stack

WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Service:
    """A process whose readers can be stopped."""

    process: "subprocess.Popen[bytes]"
    admin_port: int
    output: Path

    def ready(self) -> str:
        """What /readyz says; empty if nobody answers."""
        address = f"http://127.0.0.1:{self.admin_port}/readyz"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.03)


@contextlib.contextmanager
def running(
    service: str, topic: str, servers: RunningStack, folder: Path, **variables: str
) -> Iterator[Service]:
    """The service, deaf at SIGUSR1 to the topic."""
    with started(["tests.deaf", service, topic], servers, folder, **variables) as deaf:
        yield deaf


@contextlib.contextmanager
def started(
    module: Sequence[str], servers: RunningStack, folder: Path, **variables: str
) -> Iterator[Service]:
    """`python -m MODULE`, once it is ready; killed at the end."""
    port, output = free_run(1), folder / "service.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKLOG_")}
    environment = kept | {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_REDIS_URL": servers.file.redis,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
        "TALKLOG_EPOCH": str(servers.epoch),
        "TALKLOG_PORT": "0",
        "TALKLOG_ADMIN_PORT": str(port),
        "TALKLOG_GRACE_S": "1",
    }
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped(
                [sys.executable, "-m", *module],
                uid=None,
                death_signal=signal.SIGKILL,
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment | variables,
            start_new_session=True,
        )
    service = Service(process, port, output)
    try:
        service.until(lambda: process.poll() is not None or service.ready() == "ready\n")
        assert process.poll() is None, output.read_text()
        yield service
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("service", "topic", "named"),
    [
        ("persister", SESSION_LOG, "persister stands still"),
        ("gateway", SESSION_LOG, "the tail stands still"),
    ],
)
def test_a_process_whose_reader_has_silently_stopped_ends_with_1(
    service: str, topic: str, named: str, servers: RunningStack, tmp_path: Path
) -> None:
    with running(service, topic, servers, tmp_path, TALKLOG_STALL_LIMIT_S="3") as deaf:
        deaf.process.send_signal(signal.SIGUSR1)
        assert deaf.process.wait(WITHIN_S) == 1
        assert named in deaf.output.read_text()


def test_a_worker_to_which_nothing_is_delivered_ends_with_1(
    servers: RunningStack, tmp_path: Path
) -> None:
    with running("workers", USER_MESSAGES, servers, tmp_path, TALKLOG_STALL_LIMIT_S="3") as deaf:
        deaf.until(lambda: "shards assigned" in deaf.output.read_text())
        deaf.process.send_signal(signal.SIGUSR1)
        # The fetch that was under way may still bring one: what comes after it is never read.

        def ended_though_the_log_goes_on() -> bool:
            write_one_of_no_known_type(servers)
            return deaf.process.poll() is not None

        deaf.until(ended_though_the_log_goes_on)
        assert deaf.process.wait(WITHIN_S) == 1
        assert "intake stands still" in deaf.output.read_text()


def test_a_gateway_is_not_ready_while_its_tail_is_dead_and_ready_when_it_is_back(
    servers: RunningStack, tmp_path: Path
) -> None:
    with running("gateway", SESSION_LOG, servers, tmp_path, TALKLOG_STALL_LIMIT_S="9") as deaf:
        deaf.process.send_signal(signal.SIGUSR1)
        deaf.until(lambda: "the tail stands still" in deaf.ready())
        deaf.process.send_signal(signal.SIGUSR2)
        deaf.until(lambda: deaf.ready() == "ready\n")


def test_a_process_that_was_stopped_and_woken_goes_on(
    servers: RunningStack, tmp_path: Path
) -> None:
    with running("gateway", SESSION_LOG, servers, tmp_path, TALKLOG_STALL_LIMIT_S="1") as well:
        well.process.send_signal(signal.SIGSTOP)
        # The time it is stopped for is what is tried here: twice the limit.
        time.sleep(2.0)
        well.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            assert well.process.poll() is None, well.output.read_text()
            time.sleep(0.1)


def write_one_of_no_known_type(servers: RunningStack) -> None:
    """A record that every reader skips."""

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=servers.file.kafka) as producer:
            await producer.send_and_wait(USER_MESSAGES, b'{"type":"nothing"}', partition=0)

    asyncio.run(write())
