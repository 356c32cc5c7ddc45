"""The proxy between a plain client and a plain server: what each order does to bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.error import HTTPError

import pytest
from aiohttp import web

from deploy.local import ports
from deploy.local.proxy.control import Control
from deploy.local.proxy.link import Link
from deploy.local.proxy.pump import HELD_BYTES
from deploy.local.proxy.routes import Route
from tests.links import Links
from tests.waiting import WITHIN_S

BIG = bytes(range(256)) * 4096  # 1 MiB
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Says everything back, unless it is told to keep still; knows what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self.ends: list[str] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        try:
            while data := await reader.read(65_536):
                heard += data
                await self.goes_on.wait()
                writer.write(data)
                await writer.drain()
            self.ends.append("end")
            writer.write(b"bye")  # what is said after the other side has ended arrives, too
        except OSError:
            self.ends.append("reset")
        finally:
            writer.close()


class Stage:
    """The server, the link to it and its orders."""

    def __init__(self, server: Server, link: Link, orders: Links) -> None:
        self.server, self.link, self.orders = server, link, orders

    async def client(self) -> Client:
        return await asyncio.open_connection("127.0.0.1", self.link.routes[0].port)

    async def tell(self, order: Callable[..., None], *arguments: object, **named: object) -> None:
        """Give an order to the link `a-b`, as a test does from another thread."""
        await asyncio.to_thread(order, "a-b", *arguments, **named)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server_port = listening.sockets[0].getsockname()[1]
    link = Link([Route("a-b", ports.free_run(1), "127.0.0.1", server_port)])
    await link.start()
    async with _control({"a-b": link}) as url:
        yield Stage(server, link, Links(url))
    await link.stop()
    assert link.connections == 0
    listening.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), WITHIN_S)


@asynccontextmanager
async def _control(links: dict[str, Link]) -> AsyncIterator[str]:
    runner = web.AppRunner(Control(links).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def echo(client: Client, said: bytes) -> None:
    reader, writer = client
    writer.write(said)
    async with asyncio.timeout(WITHIN_S):
        assert await reader.readexactly(len(said)) == said


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what it asks is on the other side of a socket
            await asyncio.sleep(0.01)


async def broken(client: Client) -> bytes:
    """Read until the connection is reset; what came before."""
    came = b""
    try:
        async with asyncio.timeout(WITHIN_S):
            while data := await client[0].read(1024):
                came += data
    except ConnectionResetError:
        client[1].close()
        return came
    raise AssertionError("it came to an orderly end")


async def end(client: Client) -> None:
    client[1].write_eof()
    async with asyncio.timeout(WITHIN_S):
        assert await client[0].read() == b"bye"
    client[1].close()
    await client[1].wait_closed()


async def test_an_open_link_carries_everything_and_each_side_ends_for_itself(
    stage: Stage,
) -> None:
    client = await stage.client()
    await echo(client, b"hello")
    reader, writer = client
    writer.write(BIG)
    async with asyncio.timeout(WITHIN_S):
        assert await reader.readexactly(len(BIG)) == BIG
    await end(client)
    assert stage.server.ends == ["end"]
    await until(lambda: stage.link.connections == 0)
    state = await asyncio.to_thread(stage.orders.state, "a-b")
    assert (state["bytes_up"], state["bytes_down"]) == (len(BIG) + 5, len(BIG) + 8)
    assert (state["mode"], state["cut"], state["triggered"]) == ("open", 0, 0)


async def test_a_side_that_breaks_breaks_the_other(stage: Stage) -> None:
    client = await stage.client()
    await echo(client, b"hello")
    client[1].transport.abort()
    await until(lambda: stage.server.ends)
    await until(lambda: stage.link.connections == 0)


async def test_a_cut_resets_all_and_new_ones_are_welcome(stage: Stage) -> None:
    clients = [await stage.client() for _ in range(3)]
    for client in clients:
        await echo(client, b"hello")
    await stage.tell(stage.orders.cut)
    for client in clients:
        assert await broken(client) == b""
    await until(lambda: stage.server.ends == ["reset"] * 3)
    again = await stage.client()
    await echo(again, b"again")
    await end(again)
    assert stage.link.counts.cut == 3


async def test_who_is_refused_is_refused_until_it_is_open(stage: Stage) -> None:
    client = await stage.client()
    await echo(client, b"hello")
    await stage.tell(stage.orders.refuse)
    assert await broken(client) == b""
    with pytest.raises(ConnectionRefusedError):
        await stage.client()
    await stage.tell(stage.orders.open)
    again = await stage.client()
    await echo(again, b"again")
    await end(again)


async def test_a_hole_swallows_both_ways_and_gives_it_back(stage: Stage) -> None:
    client = await stage.client()
    await echo(client, b"hello")
    stage.server.goes_on.clear()
    client[1].write(b"answer this")
    await until(lambda: len(stage.server.heard[0]) == 16)
    await stage.tell(stage.orders.hole)
    stage.server.goes_on.set()  # its answer is held, too
    new = await stage.client()
    for each in (client, new):
        each[1].write(b"more")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client[0].read(1)
    assert [bytes(each) for each in stage.server.heard] == [b"helloanswer this"]
    await stage.tell(stage.orders.open)
    async with asyncio.timeout(WITHIN_S):
        assert await client[0].readexactly(15) == b"answer thismore"
        assert await new[0].readexactly(4) == b"more"
    await end(client)
    await end(new)


async def test_a_delay_makes_each_piece_later_and_none_slower(stage: Stage) -> None:
    """Twenty pieces, one after another, arrive after one delay each way, not after twenty."""
    reader, writer = client = await stage.client()
    await echo(client, b"hello")
    await stage.tell(stage.orders.delay, 200)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(20):
        writer.write(b"%02d" % number)
        await writer.drain()
        await asyncio.sleep(0.01)
    async with asyncio.timeout(WITHIN_S):
        assert await reader.readexactly(2) == b"00"
        assert loop.time() - began >= 0.4
        await reader.readexactly(38)
    assert loop.time() - began < 3.0  # twenty delays would be four seconds
    await end(client)


async def test_what_waits_is_bounded_both_ways(stage: Stage) -> None:
    """A hole holds up the client, and a server that does not read; then a client that does not."""
    reader, writer = client = await stage.client()
    await echo(client, b"hello")
    await stage.tell(stage.orders.hole)
    sent = await sent_until_held_up(writer)
    assert sent > HELD_BYTES
    stage.server.goes_on.clear()
    await stage.tell(stage.orders.open)
    sent += await sent_until_held_up(writer)
    assert len(stage.server.heard[0]) <= 65_536 + 5
    stage.server.goes_on.set()
    sent += await sent_until_held_up(writer)
    assert stage.link.counts.bytes_down < stage.link.counts.bytes_up < sent
    async with asyncio.timeout(WITHIN_S):
        assert await reader.readexactly(sent) == BIG * (sent // len(BIG))
    await end(client)


async def sent_until_held_up(writer: asyncio.StreamWriter) -> int:
    """How many bytes, what the system's own buffers took among them."""
    for count in range(1, 65):
        writer.write(BIG)
        try:
            async with asyncio.timeout(0.3):
                await writer.drain()
        except TimeoutError:
            return count * len(BIG)
    raise AssertionError("64 MiB went in, and nobody took them")


@pytest.mark.parametrize("forward", [True, False])
async def test_the_cut_comes_at_the_text_before_or_after_the_server_hears_it(
    stage: Stage, forward: bool
) -> None:
    await stage.tell(stage.orders.cut_at, "COMMIT", forward=forward)
    other, client = await stage.client(), await stage.client()
    await echo(other, b"BEGIN")
    await echo(client, b"BEGIN")
    client[1].write(b"; COM")
    await until(lambda: stage.link.counts.bytes_up == 15)
    async with asyncio.timeout(WITHIN_S):
        assert await client[0].readexactly(5) == b"; COM"
    client[1].write(b"MIT;")
    assert await broken(client) == b"", "it must not hear what the server says to COMMIT"
    await until(lambda: stage.server.ends)
    assert bytes(stage.server.heard[1]) == (b"BEGIN; COMMIT;" if forward else b"BEGIN; COM")
    await echo(other, b"COMMIT")  # once
    await end(other)
    state = await asyncio.to_thread(stage.orders.state, "a-b")
    assert (state["triggered"], state["cut"], state["armed"]) == (1, 1, False)


async def test_a_cut_in_the_middle_of_copy(stage: Stage) -> None:
    """It reads along on connections that are there already, and counts over many pieces."""
    client = await stage.client()
    await echo(client, b"hello")
    await stage.tell(stage.orders.cut_after, "COPY", len(BIG) // 2, times=2)
    client[1].write(b"COPY" + BIG)
    await until(lambda: stage.server.ends)
    assert bytes(stage.server.heard[0]) == b"helloCOPY" + BIG[: len(BIG) // 2]
    client[1].transport.abort()
    again = await stage.client()
    again[1].write(b"COPY" + BIG)
    await until(lambda: len(stage.server.ends) == 2)
    again[1].transport.abort()
    assert stage.link.counts.triggered == 2
    assert stage.link.armed is None


async def test_an_order_can_be_taken_back(stage: Stage) -> None:
    await stage.tell(stage.orders.cut_at, "COMMIT", forward=True)
    await stage.tell(stage.orders.cut_at, "COMMIT", forward=True, times=0)
    client = await stage.client()
    await echo(client, b"COMMIT")
    await end(client)


async def test_a_server_that_is_away_looks_like_it(stage: Stage) -> None:
    nobody = Link([Route("a-c", ports.free_run(1), "127.0.0.1", ports.free_run(1))])
    await nobody.start()
    assert await broken(await asyncio.open_connection("127.0.0.1", nobody.routes[0].port)) == b""
    await nobody.stop()


@pytest.mark.parametrize(
    ("path", "order", "code", "says"),
    [
        ("/a-c", {"mode": "open"}, 404, "no link a-c; there are: a-b"),
        ("/a-b", {"mode": "shut"}, 400, "Invalid enum value 'shut'"),
        ("/a-b", {"mode": "delay", "delay_ms": -1}, 400, "delay_ms"),
        ("/a-b", {"mode": "open", "delay": 1}, 400, "unknown field `delay`"),
        ("/a-b/cut_at", {"bytes": ""}, 400, "length >= 1"),
        ("/a-b/cut_at", {"after_bytes": 3}, 400, "missing required field `once_seen`"),
        ("/a-b/cut_at", {"forward": True}, 400, "missing required field `bytes`"),
    ],
)
async def test_a_wrong_order_is_named(
    stage: Stage, path: str, order: dict[str, object], code: int, says: str
) -> None:
    with pytest.raises(HTTPError) as caught:
        await asyncio.to_thread(stage.orders.order, path, order)
    with caught.value as refusal:
        assert refusal.code == code
        assert says in refusal.read().decode()
