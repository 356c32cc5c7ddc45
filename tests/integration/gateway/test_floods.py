"""Sockets that say far too much, at once, on a real gateway: who says little is heard.

Seen: 60 sockets with 300 KiB of `ping` each held a gateway for 21 s; at 30 its watchdog ends it.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.socket.frame_bucket import BURST
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import running_gateway
from tests.stack import RunningStack

pytestmark = pytest.mark.stack

SOCKETS = 60
FLOOD_BYTES = 300 * 1024
PING = b'{"type":"ping","nonce":1}'
STALL_LIMIT_S = "10"
"""A loop that is held so long ends its gateway."""


def masked(text: bytes) -> bytes:
    """Give a client's text frame as it goes over the wire; its mask is zero, which changes none."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


async def test_sixty_floods_hold_up_nobody(
    servers: RunningStack, session_id: str, tmp_path: Path
) -> None:
    flood = masked(PING) * (FLOOD_BYTES // len(masked(PING)))
    output = tmp_path / "log"
    with running_gateway(servers, output, TALKLOG_STALL_LIMIT_S=STALL_LIMIT_S) as gateway:
        async with AsyncExitStack() as opened:
            honest = await opened.enter_async_context(Client(gateway.url, session_id))
            await honest.joined()
            loud = [
                await opened.enter_async_context(Client(gateway.url, f"{session_id}-loud-{number}"))
                for number in range(SOCKETS)
            ]
            before = gateway.metric("frames_received_total")
            for each in loud:
                each.socket.transport.write(flood)
            for pongs in range(1, 21):
                await honest.send({"type": "ping", "nonce": pongs})
                await honest.got(lambda frame: frame["type"] == "pong", pongs)
            gateway.until(
                lambda: gateway.metric("frames_received_total") - before >= SOCKETS * BURST
            )
            for each in loud:
                each.socket.transport.abort()
        async with Client(gateway.url, session_id) as later:
            await later.joined()
        assert gateway.process.poll() is None
        assert gateway.health() == "ready\n"
