"""A gateway that gives nobody anything is not ready, though all of its parts live."""

import json
import signal
from uuid import uuid4

import pytest

from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway
from tests.stack import RunningStack

EVERY_S = "0.3"
STALL_LIMIT_S = 3.0
BROKEN = "tests.integration.gateway.broken"
RED = "the canary has not come back for "


def says(gateway: Gateway, path: str, admin: bool = False) -> tuple[int, str]:
    return gateway.get(path, gateway.admin_port if admin else None)[:2]


def silent_for_s(gateway: Gateway) -> float:
    """What both ports say of the canary; 0 if it is not the canary that they speak of."""
    answers = [says(gateway, "/readyz"), says(gateway, "/readyz", admin=True)]
    if any(status != 503 or not said.startswith(RED) for status, said in answers):
        return 0
    return min(float(said.removeprefix(RED).split()[0]) for _, said in answers)


@pytest.mark.parametrize(
    ("what", "way"),
    [("wake", "log"), ("write", "log"), ("publish", "log"), ("wake", "tail"), ("write", "tail")],
)
def test_it_is_red_while_the_way_is_broken_and_ready_when_it_is_mended(
    servers: RunningStack, what: str, way: str
) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(
        servers,
        output,
        module=(BROKEN, what),
        TALKLOG_CANARY_EVERY_S=EVERY_S,
        TALKLOG_CANARY_WAY=way,
        TALKLOG_STALL_LIMIT_S=str(STALL_LIMIT_S),
    ) as gateway:
        gateway.until(lambda: gateway.metric("canary_round_trip_seconds") > 0)
        assert says(gateway, "/readyz") == (200, "ready\n")
        gateway.process.send_signal(signal.SIGUSR1)
        # Longer than the watch of its readers would leave it alone: they read, it sees nothing.
        gateway.until(lambda: silent_for_s(gateway) > STALL_LIMIT_S + 1)
        assert says(gateway, "/healthz")[0] == says(gateway, "/healthz", admin=True)[0] == 200
        gateway.process.send_signal(signal.SIGUSR2)
        gateway.until(lambda: says(gateway, "/readyz") == (200, "ready\n"))


async def test_a_gateway_that_delivers_nothing_drains_all_the_same(servers: RunningStack) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(
        servers, output, module=(BROKEN, "publish"), TALKLOG_CANARY_EVERY_S=EVERY_S
    ) as gateway:
        gateway.process.send_signal(signal.SIGUSR1)
        gateway.until(lambda: silent_for_s(gateway))
        gateway.terminate()
        assert await gateway.exit_code() == 0
        assert "did not end within" not in output.read_text()


async def test_behind_the_tail_it_writes_nothing(servers: RunningStack) -> None:
    """Where a gateway may not write into the session log it had to be off."""
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(
        servers,
        output,
        module=(BROKEN, "publish"),
        TALKLOG_CANARY_EVERY_S=EVERY_S,
        TALKLOG_CANARY_WAY="tail",
    ) as gateway:
        gateway.process.send_signal(signal.SIGUSR1)
        gateway.until(lambda: gateway.metric("canary_round_trip_seconds") > 0)
        first_s = gateway.metric("canary_round_trip_seconds")
        # One that comes back later has another time, to the nanosecond.
        gateway.until(lambda: gateway.metric("canary_round_trip_seconds") != first_s)
        assert says(gateway, "/readyz") == (200, "ready\n")


async def test_its_connection_is_no_persons(servers: RunningStack, session_id: str) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(
        servers, output, TALKLOG_CANARY_EVERY_S=EVERY_S, TALKLOG_CONNECTIONS_PER_SESSION="1"
    ) as gateway:
        gateway.until(lambda: gateway.metric("canary_round_trip_seconds") > 0)
        assert gateway.metric("connections_opened_total") == 1
        assert (gateway.metric("connections"), gateway.metric("sessions")) == (0, 0)
        async with Client(gateway.url, session_id) as client:
            await client.joined()
            assert (gateway.metric("connections"), gateway.metric("sessions")) == (1, 1)
            gateway.terminate()
            assert (await client.until_closed())[0] == 1012
        assert await gateway.exit_code() == 0
        written = [line for line in output.read_text().splitlines() if line.startswith("{")]
        draining = [line for each in written if (line := json.loads(each))["event"] == "draining"]
        assert [line["connections"] for line in draining] == [1]


def test_0_is_never(servers: RunningStack) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(servers, output, TALKLOG_CANARY_EVERY_S="0") as gateway:
        assert gateway.metric("connections_opened_total") == 0
        assert says(gateway, "/readyz") == (200, "ready\n")


async def test_a_closed_socket_is_made_anew(servers: RunningStack) -> None:
    # Idle sooner than the next beat comes: it is closed again and again.
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(
        servers, output, TALKLOG_CANARY_EVERY_S="2", TALKLOG_IDLE_LIMIT_S="0.5"
    ) as gateway:
        gateway.until(lambda: gateway.metric("connections_opened_total") > 3)
        gateway.until(lambda: says(gateway, "/readyz") == (200, "ready\n"))
