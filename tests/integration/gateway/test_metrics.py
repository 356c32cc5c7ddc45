"""Every number that a gateway exports moves when what it counts happens."""

import socket
from collections.abc import Callable
from uuid import uuid4

from tests.integration.gateway.client import Client
from tests.integration.gateway.process import running_gateway
from tests.integration.gateway.writer import Writer
from tests.integration.moves import Moves
from tests.stack import RunningStack


def ask(message_id: str, content: str = "Hello") -> dict[str, str]:
    return {"type": "user_message", "content": content, "message_id": message_id}


async def said(
    client: Client, frame: dict[str, str], of: Callable[..., bool], times: int = 1
) -> None:
    await client.send(frame)
    await client.got(of, times)


def accepted(frame: dict[str, object]) -> bool:
    return frame.get("state") == "accepted"


def failed(frame: dict[str, object]) -> bool:
    return frame["type"] == "error"


async def test_every_number_moves(servers: RunningStack, writer: Writer, session_id: str) -> None:
    # One that starts later than these records: what lies before it has to be scanned.
    first = await writer.answer(session_id, "m0", ["x"])
    await writer.answer(session_id, "m1", ["x"], "a2")
    tight = {"TALKLOG_FRAMES_PER_SECOND": "5", "TALKLOG_UNIDENTIFIED_CONNECTIONS": "3"}
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log", **tight) as gateway:
        moves = Moves(gateway, "gateway")
        async with Client(gateway.url, session_id) as client:
            await client.joined()
            await said(client, ask("n1"), accepted)
            await said(client, ask("n1"), accepted, 2)
            await said(client, {"type": "token", "token": "t"}, failed)
            await moves.until(
                "connections",
                "sessions",
                "connections_opened",
                "frames_sent",
                "bytes_sent",
                "frames_received",
                "submitted",
                "duplicates",
                "snapshots",
                "refused unsupported",
                "canary_round_trip_seconds",
            )
            await writer.answer(session_id, "m2", ["x"], "a3")
            await moves.until("shard_log_bytes", "records_read", "shards_read")
            for number in range(25):
                await client.send({"type": "ping", "nonce": number})
            silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(5)]
            await moves.until("frames_held", "strangers_dropped")
            for each in silent:
                each.close()
            for name, numbers_that_move in {
                "redis": ["redis_away", "redis_failures", "claims_missing", "limits_local"],
                "kafka": [
                    "outcomes_unknown",
                    "producers_replaced",
                    "dead_shards",
                    "refused outcome_unknown",
                ],
            }.items():
                servers.hold(name)
                try:
                    await client.send(ask(f"while {name} is away".replace(" ", "-")))
                    async with Client(gateway.url, f"{session_id}-{name}"):
                        pass  # its session's sockets are counted here alone
                    await moves.until(*numbers_that_move)
                finally:
                    servers.let_go(name)
        query = f"?cursor={writer.cursor(session_id, first)}"
        async with Client(gateway.url, session_id, query) as client:
            await client.joined()
        async with Client(gateway.url, session_id, "?cursor=1.1.1") as client:
            await client.joined()
        async with Client(gateway.url, "a/b") as client:
            await client.until_closed()
        await moves.until("resumed", "not_recovered", "scans", "closed 4004")
        servers.hold("postgres")
        try:
            async with Client(gateway.url, session_id):
                await moves.until("snapshots_failed")
        finally:
            servers.let_go("postgres")
    assert moves.still() == set()
