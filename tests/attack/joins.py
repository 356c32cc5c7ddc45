"""Harm by joining: to leave at once, to ask for the whole log, to take all room, not to read."""

import asyncio
import json
import socket
from contextlib import suppress
from itertools import count

from websockets.asyncio.client import ClientConnection

from schemas.topics import shard_of
from tests.attack.foe import Attack, Foe

KEPT_S = 20.0
RECEIVE_BUFFER_BYTES = 4096
LINE_PACKET_BYTES = 1400
NEVER_READ_MAX_S = 120.0
PROBE_EVERY_S = 1.0
ASKED_AGAIN_EVERY = 15
LONG = "go [[tokens=6000]]"
LONG_AT_ONCE = 3


class Leaves(Attack):
    """Comes, and goes before it is answered."""

    name = "joins that leave"
    tried = "join with a long history, go at once"
    ends = frozenset(
        {
            "HTTP 429 address_connections_per_second",
            "HTTP 429 connections_per_address",
            "HTTP 429 connections_per_second",
        }
    )
    at_once = 8
    pause_s = 0.0

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.socket(foe.session(number), "?history=1000") as connection:
            foe.tell("left at once")
            connection.transport.abort()


class Cursors(Attack):
    """Asks for old records."""

    name = "old cursors"
    tried = "cursors from the log's start, drawn ones, ones of other shards and epochs"
    ends = frozenset({"close 4009 address_reads_per_minute"})
    at_once = 4
    pause_s = 0.02

    async def once(self, foe: Foe, number: int) -> None:
        session, of = foe.session(number), foe.target
        shard = shard_of(session, of.shards)
        cursor = foe.chance.choice(
            (
                f"{of.epoch}.{shard}.0",
                f"{of.epoch}.{shard}.{foe.chance.randrange(500)}",
                f"{of.epoch}.{foe.chance.randrange(of.shards)}.{foe.chance.randrange(10**9)}",
                f"{of.epoch + 1}.{shard}.1",
                f"-1.{shard}.{'9' * 40}",
            )
        )
        async with foe.socket(session, f"?cursor={cursor}&history=1000") as connection:
            frame = json.loads(await connection.recv())
            foe.tell("recovered" if frame.get("recovered") else "a snapshot instead")
            connection.transport.abort()


class Hoards(Attack):
    """Takes all the room there is."""

    name = "hoarded sockets"
    tried = f"as many sockets as can be had, kept for {KEPT_S:g} s"
    ends = frozenset(
        {
            "close 4009 connections_per_session",
            "close 4009 connections_per_user",
            "close 4009 connections_per_address",
            "HTTP 429 connections_per_address",
        }
    )
    at_once = 30

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.socket(foe.session(number % 2)) as connection:
            foe.tell("let in")
            try:
                async with asyncio.timeout(KEPT_S):
                    await foe.hear(connection)
            except TimeoutError:
                foe.tell(f"left after {KEPT_S:g} s")


class NeverReads(Attack):
    """Asks for long answers, and reads none of them."""

    name = "never read"
    tried = "ask for long answers, read nothing, say a ping now and then"
    ends = frozenset({"cut", "close 4008"})
    at_once = 2

    async def once(self, foe: Foe, number: int) -> None:
        with socket.socket() as bare:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            # As over a line: in this machine's own packets the kernel would take megabytes for him.
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, LINE_PACKET_BYTES)
            bare.setblocking(False)
            await asyncio.get_running_loop().sock_connect(bare, foe.place())
            async with foe.socket(foe.session(number), sock=bare) as connection:
                await self._ask(connection)
                connection.transport.pause_reading()
                with suppress(TimeoutError):
                    async with asyncio.timeout(NEVER_READ_MAX_S):
                        await self._probe(connection)
                foe.tell("held")

    async def _probe(self, connection: ClientConnection) -> None:
        """Who reads nothing learns of his end only by saying something. Raises ConnectionClosed."""
        for turn in count(1):
            await asyncio.sleep(PROBE_EVERY_S)
            await connection.send('{"type":"ping"}')
            if turn % ASKED_AGAIN_EVERY == 0:
                await self._ask(connection)

    async def _ask(self, connection: ClientConnection) -> None:
        for _ in range(LONG_AT_ONCE):
            await connection.send(json.dumps({"type": "user_message", "content": LONG}))


JOINS = (Leaves, Cursors, Hoards, NeverReads)
