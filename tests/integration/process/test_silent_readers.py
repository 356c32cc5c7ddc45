"""A reader that stops without an error is noticed: the process says so, and ends to be replaced."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.ports import free_run
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.service import Service, environment_for, started
from tests.stack import RunningStack
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.stack


@contextlib.contextmanager
def running(
    service: str, topic: str, servers: RunningStack, folder: Path, **variables: str
) -> Iterator[Service]:
    """The service, deaf at SIGUSR1 to the topic."""
    with breakable(["tests.deaf", service, topic], servers, folder, **variables) as deaf:
        yield deaf


@contextlib.contextmanager
def breakable(
    module: Sequence[str], servers: RunningStack, folder: Path, **variables: str
) -> Iterator[Service]:
    """`python -m MODULE`, once it is ready; it may be stuck at the end."""
    port, output = free_run(1), folder / "service.log"
    environment = environment_for(servers) | {
        "TALKLOG_PORT": "0",
        "TALKLOG_ADMIN_PORT": str(port),
        "TALKLOG_GRACE_S": "1",
    }
    with started(module, environment | variables, output, stop_within_s=2.0) as process:
        service = Service(process, port, output)
        service.until_ready()
        yield service


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
        deaf.until(lambda: "the tail stands still" in deaf.health())
        deaf.process.send_signal(signal.SIGUSR2)
        deaf.until(lambda: deaf.health() == "ready\n")


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
