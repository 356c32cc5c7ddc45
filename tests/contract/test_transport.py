"""The transport on a real socket: what has come is read without waiting, and nothing is lost."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx2
import openai
import pytest

from tests.scripted_model.raw import JSON, Raw, raw_server
from tests.worker_defaults import model_limits
from workers.history.prompt import ChatMessage
from workers.model.endpoint import Address
from workers.model.faults import FaultKind, ModelFault
from workers.model.model import Model
from workers.model.stream import MOMENT_BYTES, Finished, Text
from workers.model.transport import Body, Transport, body_of

WITHIN_S = 30.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
SAID = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Peer:
    """A server that writes what the test says, when it says so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer


@asynccontextmanager
async def a_body(head: bytes) -> AsyncIterator[tuple[Body, Peer]]:
    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        peers.put_nowait(Peer(reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    client = httpx2.AsyncClient(transport=Transport(url, httpx2.Limits()), timeout=None)
    response = await client.send(client.build_request("GET", url), stream=True)
    peer = await peers.get()
    try:
        yield body_of(response), peer
    finally:
        await response.aclose()
        await client.aclose()
        peer.writer.close()
        server.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what has come tells nobody: that is the point
            await asyncio.sleep(0.001)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_what_has_gathered_is_read_at_once_and_the_end_is_told() -> None:
    async with a_body(CHUNKED) as (body, peer):
        assert body.read_now() == b""
        peer.writer.write(chunk(b"one ") + chunk(b"two"))
        got = b""

        def all_there() -> bool:
            nonlocal got
            got += body.read_now() or b""
            return got == b"one two"

        await until(all_there)
        assert body.read_now() == b""
        peer.writer.write(b"0\r\n\r\n")
        await until(lambda: body.read_now() is None)
        assert await body.wait() is None


async def test_who_waits_is_given_what_comes() -> None:
    async with a_body(CHUNKED) as (body, peer):
        waiting = asyncio.create_task(body.wait())
        await asyncio.sleep(0)
        peer.writer.write(chunk(b"one"))
        assert await waiting == b"one"


async def test_what_came_before_a_cut_is_read_after_it() -> None:
    """The library gives nothing beside an error: a tick that came after the cut lost text."""
    async with a_body(CHUNKED) as (body, peer):
        peer.writer.write(chunk(b"said") + b"5\r\nha")
        await peer.writer.drain()
        peer.writer.close()
        response = body._response
        await until(lambda: response.content.exception() is not None)
        assert body.read_now() == b"saidha"
        with pytest.raises(aiohttp.ClientError):
            body.read_now()
        with pytest.raises(aiohttp.ClientError):
            await body.wait()


async def test_a_compressed_body_comes_unpacked() -> None:
    packed = gzip.compress(b"said " * 1000)
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with a_body(head) as (body, peer):
        peer.writer.write(packed)
        got = b""
        while data := await body.wait():
            got += data
        assert got == b"said " * 1000


async def test_what_one_moment_may_not_hold_is_read_in_the_next_ones() -> None:
    """A model that says all at once stopped the loop for a tenth of a second."""
    said = b"".join(SAID.replace(b"Hi", b"w%06d " % number) for number in range(2_000))
    a_moment = len("w000000 ") * (MOMENT_BYTES // len(SAID) + 1)
    messages = [ChatMessage(role="user", content="hello")]
    async with raw_server(lambda _: Raw([said + DONE])) as server:
        model = Model(Address("first", server.url, "none"), limits=model_limits())
        text, moments, ended = "", 0, False
        async with model.stream(messages, model="m", max_tokens=7) as deltas:
            while not ended:
                moments += 1
                before = len(text)
                while (delta := deltas.read(float(moments))) is not None and not ended:
                    text += delta.content if isinstance(delta, Text) else ""
                    ended = isinstance(delta, Finished)
                # A call is open when it has begun: that was a moment, too.
                assert len(text) - before <= (2 if moments == 1 else 1) * a_moment
                await asyncio.sleep(0.001)
        await model.aclose()
    assert text == "".join(f"w{number:06} " for number in range(2_000))


async def test_a_call_carries_what_the_clients_own_carries() -> None:
    """`post` instead of `create`: the same key and the same body; the second time too."""
    messages = [ChatMessage(role="user", content="hello")]
    longer = [*messages, ChatMessage(role="assistant", content="Hi"), *messages]
    async with raw_server(lambda _: Raw([SAID, DONE])) as server:
        model = Model(Address("first", server.url, "a key"), limits=model_limits())
        for each in (longer, messages):
            async with model.stream(each, model="m", max_tokens=7):
                pass
        await model.aclose()
        theirs = openai.AsyncOpenAI(base_url=server.url, api_key="a key")
        async for _ in await theirs.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hello"}],
            max_tokens=7,
            stream=True,
            stream_options={"include_usage": True},
        ):
            pass
        await theirs.close()
    assert server.asked[0]["messages"] == longer
    assert server.asked[1] == server.asked[2]
    assert server.keys == ["bearer a key"] * 3
    assert server.types == ["application/json"] * 3


async def named_fault(model: Model) -> tuple[object, ...] | None:
    messages = [ChatMessage(role="user", content="hello")]
    try:
        async with model.stream(messages, model="m", max_tokens=7):
            return None
    except ModelFault as failed:
        return failed.kind, failed.message, failed.status, failed.retry_after_s


@pytest.mark.parametrize(
    "refusal",
    [
        Raw([b'{"error": {"message": "slow down"}}'], 429, JSON | {"retry-after": "7"}),
        Raw([b'{"error": {"message": "no such model", "code": "unknown"}}'], 404, JSON),
        Raw([b'{"error": "too long", "object": "error"}'], 400, JSON),
        Raw([b"<html>Bad Gateway</html>"], 502, {"content-type": "text/html"}),
        Raw([], 503, {}),
        Raw([b"not modified"], 304, {}),
    ],
    ids=lambda raw: str(raw.status),
)
async def test_a_refusal_says_the_same_the_first_time_and_later(refusal: Raw) -> None:
    """All calls but the first leave out the layers of the client."""
    answers = iter([refusal, Raw([SAID, DONE]), refusal])
    async with raw_server(lambda _: next(answers)) as server:
        model = Model(Address("first", server.url, "a key"), limits=model_limits(retries=0))
        first, nothing, later = [await named_fault(model) for _ in range(3)]
        await model.aclose()
    assert nothing is None
    assert first is not None
    assert first == later


async def test_a_server_that_is_not_there_is_named_so_each_time() -> None:
    address = Address("first", "http://127.0.0.1:1/v1", "a key")
    model = Model(address, limits=model_limits(retries=0))
    first, later = [await named_fault(model) for _ in range(2)]
    await model.aclose()
    assert first == later
    assert first is not None
    assert first[0] is FaultKind.UNREACHABLE


async def test_a_server_that_has_moved_is_asked_where_it_is() -> None:
    messages = [ChatMessage(role="user", content="hello")]
    async with (
        raw_server(lambda _: Raw([SAID, DONE])) as there,
        raw_server(
            lambda _: Raw([b"moved"], 307, {"location": f"{there.url}/chat/completions"})
        ) as here,
    ):
        model = Model(Address("first", here.url, "a key"), limits=model_limits())
        for _ in range(2):
            async with model.stream(messages, model="m", max_tokens=7) as deltas:
                said = deltas.read(asyncio.get_running_loop().time())
                assert said == Text("Hi")
        await model.aclose()
    assert [asked["messages"] for asked in there.asked] == [messages] * 2
    # It is another server: the key is none of its.
    assert there.keys == [""] * 2
