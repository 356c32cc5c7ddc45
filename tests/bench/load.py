"""The load: so many sessions, each with a stream of stamped tokens, read as a client reads them."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.scenarios import Scenario

_STAMP = re.compile(r"@(\d+)")
_LAST = re.compile(r"@\d*\Z")


class _Entry(msgspec.Struct):
    content: str = ""
    finish_reason: str | None = None


class _Frame(msgspec.Struct):
    type: str
    content: str = ""
    code: str = ""
    state: str = ""
    messages: list[_Entry] = []
    finish_reason: str | None = None


_decoder = msgspec.json.Decoder(_Frame)


ACCEPTED, GENERATING, ASKED = "submit to accepted", "submit to generating", "submit to model"
FIRST = "first token to reader"
"""An answer's hops: to the receipt of a frame, to the stamp of the first token, and from there."""


_SAID = {"accepted": ACCEPTED, "generating": GENERATING}


@dataclass(slots=True)
class Seen:
    """What clients saw, in ms, and in how many frames."""

    added_ms: list[float] = field(default_factory=list)
    """Of each token: from its stamp, written as it left the model, to its receipt."""
    hops_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each answer, by the names of its hops."""
    frames: int = 0


async def load(
    urls: Sequence[str],
    scenario: Scenario,
    tokens: int,
    tag: str,
    names: Sequence[str] | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Seen:
    """Ask in every session, all at once, as many times as the scenario says, one after another.

    `goes_on` is asked after each answer, and may end it before. The sessions are called `names`, or
    by the tag and a number. Raises AssertionError if an answer is not whole.
    """
    seen = Seen()
    sessions = names or [f"{tag}-{number}" for number in range(scenario.sessions)]

    async def one(number: int) -> None:
        session = sessions[number]
        address = urls[number % len(urls)].replace("http", "ws", 1) + f"/ws/chat/{session}/"
        # Without pings: a server that is past its capacity is late, not dead.
        async with connect(address, compression=None, max_size=None, ping_interval=None) as socket:
            for turn in range(scenario.turns):
                orders = f"[[key={session}-{turn} tokens={tokens} rate={scenario.rate} stamp=1]]"
                await _one_answer(socket, f"go {orders}", tokens, seen)
                if not goes_on():
                    break

    await asyncio.gather(*(one(number) for number in range(len(sessions))))
    return seen


async def _one_answer(socket: ClientConnection, asked: str, tokens: int, seen: Seen) -> None:
    asked_ns = time.monotonic_ns()
    came, first, rest = 0, True, ""
    await socket.send(msgspec.json.encode({"type": "user_message", "content": asked}).decode())
    async for raw in socket:
        now_ns = time.monotonic_ns()
        frame = _decoder.decode(raw)
        assert frame.type != "error", raw
        if frame.state in _SAID:
            seen.hops_ms[_SAID[frame.state]].append((now_ns - asked_ns) / 1e6)
        if frame.state == "generating":
            came, rest = 0, ""  # another worker goes on: its first chunk is the text so far
        elif frame.type == "snapshot":
            # In place of what came before it; what follows it comes (again).
            so_far = "".join(each.content for each in frame.messages if not each.finish_reason)
            stamps, rest = _whole(so_far, asked_ns)
            came = len(stamps)
        elif frame.type == "ai_response_chunk":
            stamps, rest = _whole(rest + frame.content, asked_ns)
            seen.added_ms.extend((now_ns - stamp) / 1e6 for stamp in stamps)
            if first and stamps:
                seen.hops_ms[ASKED].append((stamps[0] - asked_ns) / 1e6)
                seen.hops_ms[FIRST].append((now_ns - stamps[0]) / 1e6)
                first = False
            came += len(stamps)
            seen.frames += 1
        elif frame.type == "ai_response_complete":
            break
    assert came == tokens, f"{came} of {tokens} tokens, then {frame.finish_reason}"


def _whole(text: str, like_ns: int) -> tuple[list[int], str]:
    """Give the stamps, and the beginning of one that the next text goes on with."""
    last = _LAST.search(text)
    rest = last.group() if last and len(last.group()) <= len(str(like_ns)) else ""
    return [int(stamp) for stamp in _STAMP.findall(text.removesuffix(rest))], rest
