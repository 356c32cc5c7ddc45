"""A person of the load: asks one message after another, whatever dies, and keeps what was shown.

It takes only what the wire gives: it holds the running answer, obeys attempts and fences as every
client must, counts what must never be (a sequence missing or twice, a text that shrinks), and how
long no word came.
It is its own small fold on purpose: one that is shared with the services would share their errors.
"""

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

CONNECT_WITHIN_S = (3.0, 3.0, 3.0, 10.0)
"""By how many connections in a row came to nothing; the last for all that follow."""
GREETING_S = 32.0
QUIET_S = 5.0
ANSWER_S = 2.0
"""A socket that says nothing for QUIET_S is asked, and left ANSWER_S later, as the page does."""
BACKOFF_MAX_S = 1.0
RECENT, NOTED_CHARS = 12, 200
"""So much of what was heard last is kept, to be told if an answer does not end."""
LOOKS_UP_EVERY_S = 0.5
"""So often one who rests looks whether it shall go on."""


@dataclass(slots=True)
class Told:
    """What one message's asker was told of it; times are of the event loop's clock."""

    session_id: str
    key: str
    tokens: int
    asked_s: float
    accepted: bool = False
    state: str = "queued"
    error: str = ""
    retryable: bool | None = None
    finish_reason: str = ""
    text: str = ""
    attempt: str | None = None
    fence: tuple[int, ...] = ()
    sequence: int = 0
    starts: int = 0
    went_on: int = 0
    """Starts that continued the text so far."""
    begun_anew: int = 0
    """How often a text went from the screen."""
    shrunk: int = 0
    """How often it went though the start had said that it continues."""
    fenced: int = 0
    repeats: int = 0
    gaps: int = 0
    moved_s: float = 0.0
    pause_s: float = 0.0
    ended_s: float | None = None

    @property
    def over(self) -> bool:
        """Whether its terminal was shown."""
        return self.state in ("complete", "error")


class Talker:
    """One session; it asks the model for so many tokens, at such a rate.

    Between two messages it rests, for `rest_s` in the mean, with its socket open.
    """

    def __init__(
        self,
        urls: Callable[[], Sequence[str]],
        session_id: str,
        chance: random.Random,
        tokens: tuple[int, int],
        rate: int,
        headers: Mapping[str, str] | None = None,
        rest_s: float = 0.0,
    ) -> None:
        self._rest_s = rest_s
        self._urls, self.session_id, self.chance = urls, session_id, chance
        self._tokens, self._rate, self._headers = tokens, rate, headers
        self._cursor: str | None = None
        self._on: Callable[[], bool]
        self._failures = 0
        self.told: list[Told] = []
        self.counts: Counter[str] = Counter()
        self.address = ""
        self._left = ""
        self._recent: deque[str] = deque(maxlen=RECENT)

    def told_lately(self) -> str:
        """Say what it did and heard last, for whoever asks why its answer does not end."""
        return f"{self.session_id} ({dict(self.counts)}): {' | '.join(self._recent)}"

    def _note(self, what: str) -> None:
        self._recent.append(f"{time.strftime('%X')} {what[:NOTED_CHARS]}")

    @property
    def now(self) -> Told | None:
        """The message that has no end yet."""
        return self.told[-1] if self.told and not self.told[-1].over else None

    async def run(self, go_on: Callable[[], bool]) -> None:
        """Ask, each message when the one before has ended, while `go_on` says so."""
        self._on = go_on
        while self.now or go_on():
            try:
                await self._connected()
            except (
                OSError,
                TimeoutError,
                ConnectionClosed,
                InvalidHandshake,
                InvalidMessage,
            ) as error:
                self._note(f"{self.address} left: {error!r}")
                self.counts["reconnects"] += 1
                self._left = self.address
                self._failures += 1
                await asyncio.sleep(self._away_s())

    def _away_s(self) -> float:
        """How long until it connects again."""
        longest_s = min(BACKOFF_MAX_S, 0.1 * 2 ** min(self._failures, 5))
        return self.chance.uniform(0, longest_s)

    async def _connected(self) -> None:
        urls = self._urls()
        # As behind a balancer that looks whether its gateways are alive.
        self.address = self.chance.choice([each for each in urls if each != self._left] or urls)
        base = self.address.replace("http://", "ws://")
        query = f"?cursor={self._cursor}" if self._cursor else ""
        async with connect(
            f"{base}/ws/chat/{self.session_id}/{query}",
            compression=None,
            max_size=None,
            open_timeout=CONNECT_WITHIN_S[min(self._failures, len(CONNECT_WITHIN_S) - 1)],
            ping_interval=None,
            close_timeout=1.0,
            additional_headers=self._headers,
        ) as socket:
            self._note(f"{self.address} joined with {self._cursor}")
            if self.now and not self.now.accepted:
                await self._submit(socket, self.now)  # the log may have it: the same id again
            greeted = False
            while True:
                if not self.now:
                    await self._rest()
                    if not self._on():
                        return
                    await self._submit(socket, self._ask())
                raw = await self._heard(socket, greeted)
                self._note(str(raw))
                frame = json.loads(raw)
                greeted, self._failures = True, 0
                if frame.get("state") == "reconnect":
                    self.counts["asked to reconnect"] += 1
                    return
                self._take(frame)

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.chance.uniform(0, 2 * self._rest_s)
        while self._on() and (left_s := until_s - loop.time()) > 0:  # noqa: ASYNC110 - a clock and a flag
            await asyncio.sleep(min(left_s, LOOKS_UP_EVERY_S))

    async def _heard(self, socket: ClientConnection, greeted: bool) -> str | bytes:
        """Give the next frame. Raises TimeoutError where the gateway does not answer either."""
        if greeted:
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_S):
                    return await socket.recv()
            await socket.send('{"type":"ping"}')
        try:
            async with asyncio.timeout(ANSWER_S if greeted else GREETING_S):
                return await socket.recv()
        except TimeoutError:
            self.counts["left a silent gateway"] += 1
            socket.transport.abort()
            raise

    def _ask(self) -> Told:
        number = len(self.told) + 1
        told = Told(
            self.session_id,
            f"{self.session_id}-{number}",
            self.chance.randint(*self._tokens),
            _clock(),
        )
        told.moved_s = told.asked_s
        self.told.append(told)
        return told

    async def _submit(self, socket: ClientConnection, told: Told) -> None:
        content = f"go [[key={told.key} tokens={told.tokens} rate={self._rate}]]"
        frame = {"type": "user_message", "message_id": told.key, "content": content}
        await socket.send(json.dumps(frame))

    def _take(self, frame: dict[str, Any]) -> None:
        self._cursor = frame.get("cursor") or self._cursor
        kind, state = frame["type"], frame.get("state")
        if state == "connected" and frame.get("recovered") is False:
            self.counts["not recovered"] += 1
        if kind == "snapshot":
            self._take_snapshot(frame)
        told = self.now
        if told is None or frame.get("message_id") != told.key:
            return
        if state == "accepted":
            told.accepted = True
        elif kind == "error" and "cursor" not in frame:
            self._refused(told, frame)
        elif "cursor" in frame:
            told.accepted = True
            _fold(told, frame)

    def _refused(self, told: Told, frame: dict[str, Any]) -> None:
        """Not taken into the log for now; it is sent again on a socket that is opened anew."""
        self.counts[f"refused: {frame['code']}"] += 1
        raise ConnectionResetError(frame["code"])

    def _take_snapshot(self, frame: dict[str, Any]) -> None:
        self.counts["snapshots"] += 1
        told = self.now
        for entry in frame["messages"]:
            if told and entry["message_id"] == told.key and entry["role"] == "assistant":
                _replace(told, entry)
        if told and told.key in frame["ended"]:
            self.counts["the newest is not in the snapshot"] += 1


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _moved(told: Told) -> None:
    now = _clock()
    told.pause_s = max(told.pause_s, now - told.moved_s)
    told.moved_s = now


def _replace(told: Told, entry: dict[str, Any]) -> None:
    """Take a snapshot's word for the message."""
    told.accepted = True
    if entry["content"] != told.text:
        _moved(told)
    told.begun_anew += not entry["content"].startswith(told.text)
    told.attempt, told.fence = entry["attempt"], tuple(entry.get("fence") or ())
    told.sequence, told.text, told.state = entry["last_sequence"], entry["content"], entry["state"]
    if told.over:
        error = entry.get("error") or {}
        _end(told, str(error.get("code", "")), error.get("retryable"))
        told.finish_reason = entry.get("finish_reason") or ""


def _fold(told: Told, frame: dict[str, Any]) -> None:
    kind, state = frame["type"], frame.get("state")
    if kind == "status" and state == "generating":
        _start(told, frame)
    elif kind == "status" and state == "released":
        if frame.get("attempt") == told.attempt:
            told.state = "queued"
    elif kind == "ai_response_chunk":
        if told.state == "generating" and frame["attempt"] == told.attempt:
            _chunk(told, frame)
        else:
            told.fenced += 1
    elif kind in ("ai_response_complete", "error"):
        if frame.get("attempt") != told.attempt:
            told.fenced += 1
            return
        if frame.get("last_sequence", 0) != told.sequence:
            told.gaps += 1
        told.state = "complete" if kind == "ai_response_complete" else "error"
        told.finish_reason = frame.get("finish_reason") or ""
        _end(told, frame.get("code", ""), frame.get("retryable"))


def _start(told: Told, frame: dict[str, Any]) -> None:
    fence = tuple(frame["fence"])
    if fence < told.fence:
        told.fenced += 1
        return
    told.attempt, told.fence, told.state = frame["attempt"], fence, "generating"
    told.sequence = 0
    told.starts += 1
    if frame.get("continues"):
        told.went_on += 1
    else:
        told.begun_anew += bool(told.text)
        told.text = ""


def _chunk(told: Told, frame: dict[str, Any]) -> None:
    first, last = frame.get("first_sequence", frame["sequence"]), frame["sequence"]
    if first <= told.sequence:
        told.repeats += 1
        return
    told.gaps += first > told.sequence + 1
    # The first chunk of an attempt repeats the text that it continues; there is none else.
    before, told.text = told.text, ("" if not told.sequence else told.text) + frame["content"]
    told.shrunk += not told.text.startswith(before)
    told.sequence = last
    if told.text != before:
        _moved(told)


def _end(told: Told, error: str, retryable: bool | None) -> None:
    _moved(told)
    told.ended_s = _clock()
    told.error, told.retryable = error, retryable
