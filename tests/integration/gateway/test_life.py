"""A gateway's whole life: start, refuse bad settings, slow clients, drain."""

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from uuid import uuid4

from schemas.topics import SESSION_LOG, shard_of
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, gateway_environment, running_gateway
from tests.integration.gateway.writer import SHARDS, Writer, chunks, start
from tests.stack import RunningStack
from tests.trim import trim
from tests.waiting import WITHIN_S


def fails_with(servers: RunningStack, **variables: str) -> tuple[int, str]:
    """Run a gateway that can't start; give its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env=gateway_environment(servers, 0) | variables,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    return done.returncode, done.stderr


def test_wrong_settings_are_all_named_and_the_exit_code_is_2(servers: RunningStack) -> None:
    code, said = fails_with(
        servers, TALKLOG_AUTH="jwt", TALKLOG_PROT="1", TALKLOG_EPOCH="x", TALKLOG_PORT="99999"
    )
    assert code == 2
    for name in ("TALKLOG_AUTH", "TALKLOG_PROT", "TALKLOG_EPOCH", "TALKLOG_PORT"):
        assert name in said


def test_a_public_address_without_authentication_is_refused(servers: RunningStack) -> None:
    code, said = fails_with(servers, TALKLOG_HOST="0.0.0.0")
    assert code == 2
    assert "loopback" in said


def test_a_port_that_is_taken_is_one_clear_line(servers: RunningStack, gateway: Gateway) -> None:
    code, said = fails_with(servers, TALKLOG_PORT=str(gateway.port))
    assert code == 1
    assert "can't listen" in said


async def test_sigterm_drains(servers: RunningStack, writer: Writer, session_id: str) -> None:
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as leaving:
        clients = [Client(leaving.url, f"{session_id}-{number}") for number in range(20)]
        for client in clients:
            await client.__aenter__()
            await client.joined()
        leaving.terminate()
        for client in clients:
            assert (await client.until_closed())[0] == 1012
            assert client.frames[-1]["state"] == "reconnect"
            assert client.frames[-1]["after_ms"] >= 0
        assert await leaving.exit_code() == 0
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))


async def test_before_it_drains_it_is_not_ready_and_serves_all_the_same(
    servers: RunningStack, writer: Writer, session_id: str
) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(servers, output, TALKLOG_DRAIN_DELAY_S="600") as leaving:
        async with Client(leaving.url, session_id) as stays:
            await stays.joined()
            leaving.terminate()
            await asyncio.to_thread(leaving.until, lambda: leaving.health() == "draining\n")
            assert leaving.get("/readyz")[:2] == (503, "draining\n")
            # A balancer that has not asked yet still sends people here.
            async with Client(leaving.url, session_id) as late:
                await late.joined()
                await writer.put(start(session_id, "m1"), *chunks(session_id, "m1", ["still"]))
                for client in (stays, late):
                    await client.until(partial(has_read, client, "still"))
        leaving.process.kill()


async def test_a_message_on_its_way_is_finished_by_the_drain(
    servers: RunningStack, session_id: str
) -> None:
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as leaving:
        async with Client(leaving.url, session_id) as client:
            await client.joined()
            servers.hold("kafka")
            await client.send({"type": "user_message", "content": "x", "message_id": "m1"})
            await client.send({"type": "ping", "nonce": 1})
            leaving.terminate()
            await client.got(lambda f: f.get("state") == "reconnect")
            servers.let_go("kafka")
            assert await leaving.exit_code() == 0


async def test_ctrl_c_ends_with_130(servers: RunningStack) -> None:
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as leaving:
        os.kill(leaving.process.pid, signal.SIGINT)
        assert await leaving.exit_code() == 130


def has_read(client: Client, text: str) -> bool:
    return client.text() == text


def has_come_to(client: Client, sequence: int) -> bool:
    return bool(client.frames[-1].get("sequence") == sequence)


async def test_a_client_that_never_reads_is_closed_with_4008_and_others_are_not_delayed(
    servers: RunningStack, writer: Writer, session_id: str
) -> None:
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as busy:
        slow = Client(busy.url, session_id)
        async with Client(busy.url, session_id) as reader:
            await reader.joined()
            async with slow:
                await slow.joined()
                slow.socket.transport.pause_reading()
                await writer.put(start(session_id, "m1"))
                piece = "x" * 16_000
                sequence = 0
                # 60 MiB: more than a shard log holds, and more than the socket's buffers take.
                while sequence < 3_800:
                    await writer.put(*chunks(session_id, "m1", [piece] * 100, first=sequence + 1))
                    sequence += 100
                    await reader.until(partial(has_come_to, reader, sequence))
                slow.socket.transport.resume_reading()
                # The code itself lies behind what was never read: it may be cut off before it.
                assert (await slow.until_closed())[0] in (4008, 1006)
                assert (
                    'talklog_gateway_closed_total{code="4008"} 1.0'
                    in busy.get("/metrics", busy.admin_port)[1]
                )
                cursor = slow.log_frames()[-1]["cursor"]
        assert busy.metric("shard_log_bytes") < 8 * 40 * 1024 * 1024
        async with Client(busy.url, session_id, f"?cursor={cursor}") as again:
            await again.joined()
    await trim(servers.file.kafka, SESSION_LOG, shard_of(session_id, SHARDS))


async def test_an_idle_socket_is_closed_with_4010_and_resumes_on_demand(
    servers: RunningStack, writer: Writer, session_id: str
) -> None:
    output = servers.state / f"{uuid4().hex}.log"
    with running_gateway(servers, output, TALKLOG_IDLE_LIMIT_S="1") as gateway:
        async with Client(gateway.url, session_id) as idle:
            await idle.joined()
            await writer.put(start(session_id, "m1"))
            assert (await idle.until_closed())[0] == 4010
            cursor = idle.log_frames()[-1]["cursor"]
        await writer.put(*chunks(session_id, "m1", ["meanwhile"]))
        async with Client(gateway.url, session_id, f"?cursor={cursor}") as again:
            await again.joined()
            await again.until(lambda: again.text() == "meanwhile")
