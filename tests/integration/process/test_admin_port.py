"""The admin port on real sockets: who may read it, under which name, and what it gives away."""

import asyncio
import http.client
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from deploy.local.ports import free_run
from schemas.process.admin_port import AdminPort
from tests.waiting import WITHIN_S

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    registry = CollectorRegistry()
    Gauge("some", "A number", registry=registry).set(7)
    number = free_run(1)
    admin = AdminPort(number, lambda: None, registry=registry)
    await admin.start()
    yield number
    await admin.stop()


def asked(port: int, path: str, host: str, method: str = "GET") -> tuple[int, str, str]:
    """Give status, text and the header that would name the server's version."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.getheader("Server", "")
    connection.close()
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9100", "[::1]:9100"])
async def test_this_machine_reads_it_under_its_own_names(port: int, host: str) -> None:
    status, text, server = await asyncio.to_thread(asked, port, "/metrics", host)
    assert (status, server) == (200, "")
    assert "some 7.0" in text


@pytest.mark.parametrize(
    "host",
    ["rebound.example", "127.0.0.1.rebound.example", "[::1", "[::1]9100", "a@localhost", "@"],
)
async def test_a_name_that_was_made_to_resolve_here_reads_nothing(port: int, host: str) -> None:
    status, text, server = await asyncio.to_thread(asked, port, "/metrics", host)
    assert (status, server) == (421, "")
    assert "some" not in text


async def test_it_changes_nothing(port: int) -> None:
    for method in ("POST", "PUT", "DELETE", "TRACE"):
        status, _, _ = await asyncio.to_thread(asked, port, "/metrics", "localhost", method)
        assert status == 405


async def test_from_outside_it_is_read_under_any_name() -> None:
    number = free_run(1)
    admin = AdminPort(number, lambda: "draining", host="0.0.0.0")
    await admin.start()
    try:
        status, text, _ = await asyncio.to_thread(
            asked, number, "/readyz", "talklog-gateway.chat.svc"
        )
        assert (status, text) == (503, "draining\n")
    finally:
        await admin.stop()


async def test_a_health_check_asks_the_port_of_its_environment(port: int) -> None:
    def asks(number: int) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.operators.ready"],
            env={"TALKLOG_ADMIN_PORT": str(number)},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    assert await asyncio.to_thread(asks, port) == (0, "ready\n")
    code, said = await asyncio.to_thread(asks, free_run(1))
    assert code == 1
    assert said.startswith("nobody answers: ")
