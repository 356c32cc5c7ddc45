"""A socket whose peer is gone while its buffer is full: nobody waits for it, and nothing is raised.

Seen under attack: a traceback in the log for each client that read nothing and was then reset.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.server import ServerProtocol

from gateway.counters import Counters
from gateway.socket.strangers import Strangers
from gateway.socket.websocket import WebSocket
from tests.waiting import WITHIN_S


class OwnSocket(WebSocket):
    strangers = Strangers(10, Counters())


async def serve(socket: WebSocket) -> None:
    pass


def full() -> OwnSocket:
    """One whose peer reads nothing."""
    server = SimpleNamespace(handler=serve, handler_tasks=set())
    socket = OwnSocket(ServerProtocol(), cast(Any, server), ping_interval=None)
    transport = SimpleNamespace(
        get_extra_info=lambda name: None,
        set_write_buffer_limits=lambda *limits, **named: None,
        is_closing=lambda: False,
        pause_reading=lambda: None,
        resume_reading=lambda: None,
    )
    socket.connection_made(cast(Any, transport))
    socket.pause_writing()
    return socket


@pytest.mark.parametrize("error", [None, ConnectionResetError(), TimeoutError()])
async def test_who_waits_for_it_goes_on_when_it_is_lost(error: Exception | None) -> None:
    socket = full()
    waiting = asyncio.create_task(socket.until_writable())
    await asyncio.sleep(0)
    socket.connection_lost(error)
    await asyncio.wait_for(waiting, WITHIN_S)
