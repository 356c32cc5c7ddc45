"""A client that is cut off again and again, and comes back on any gateway with its cursor.

It folds nothing: it holds the text of the answer that runs, and counts what must never be, a
sequence that is missing or comes twice. What the model wrote is known from the script alone.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.scripted_model.script import answer_text, thoughts
from tests.waiting import WITHIN_S

FRAME_WITHIN_S = 60.0
CUT_BEFORE_SNAPSHOT = 0.04
"""So often a cut client forgets its cursor, as a reloaded tab does, and is cut in its joining."""


class Cutter:
    """One session; its socket is cut after every `every`th log frame."""

    def __init__(
        self, urls: Sequence[str], session_id: str, every: int, tokens: int, rate: int, seed: int
    ) -> None:
        self._addresses = [f"{u.replace('http://', 'ws://')}/ws/chat/{session_id}/" for u in urls]
        self._every, self._tokens, self._rate = every, tokens, rate
        self._random = random.Random(f"{seed} {session_id}")
        self.session_id = session_id
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._asked = 0
        self._cursor: str | None = None
        self._accepted = self._runs = self._over = True
        self._begin("")
        self._since_cut = 0
        self._follows = ""

    async def run(self, enough: Callable[[], bool]) -> None:
        """Ask one message after another, each when the one before has ended, until enough."""
        while not (self._over and enough()):
            address = self._random.choice(self._addresses)
            known = self._cursor is not None
            query = f"?cursor={self._cursor}" if known else "?history=1"
            try:
                self._follows = f"{address} from {self._cursor}"
                async with connect(
                    address + query, compression=None, max_size=None, open_timeout=WITHIN_S
                ) as socket:
                    await self._follow(socket, known, enough)
            except InvalidMessage:
                # A gateway that stood still as long as a handshake may take, on a busy machine.
                self.counts["handshakes without an answer"] += 1

    async def _follow(
        self, socket: ClientConnection, known: bool, enough: Callable[[], bool]
    ) -> None:
        """Join, read until it is time, and break off."""
        forgets = not known and self._random.random() < 0.5
        await self._join(socket, known, cut_before_snapshot=forgets)
        if not forgets:
            await self._read_until_cut(socket, enough)
        socket.transport.abort()

    async def _join(
        self, socket: ClientConnection, known: bool, *, cut_before_snapshot: bool
    ) -> None:
        connected = await self._frame(socket)
        assert connected["state"] == "connected", connected
        if connected["recovered"] is not (True if known else None):
            self.wrong.append(f"recovered is {connected['recovered']}, with {self._cursor}")
        if known:
            return
        if cut_before_snapshot:
            self._count("between connected and snapshot")
            return
        # Live frames before the snapshot are of a fold that began with nothing: it replaces them.
        while (frame := await self._frame(socket))["type"] != "snapshot":
            self.counts["frames before the snapshot"] += 1
        self._take_snapshot(frame)

    def _take_snapshot(self, frame: dict[str, Any]) -> None:
        self._cursor = frame["cursor"]
        self._follows += f", snapshot {self._cursor}"
        self.counts["snapshots"] += 1
        key = self._key
        for entry in frame["messages"]:
            if entry["role"] == "assistant" and entry["message_id"] == key:
                self._attempt, self._sequence = entry["attempt"] or "", entry["last_sequence"]
                self._text, self._runs = entry["content"], entry["state"] == "generating"
                self._thoughts = entry["reasoning"]
                self._reasoning_sequence = entry["last_reasoning_sequence"]
                if entry["state"] in ("complete", "error") and not self._over:
                    self._end(entry["state"])
        if key in frame["ended"]:
            self.wrong.append(f"{key} is the newest, and is not shown")

    async def _read_until_cut(self, socket: ClientConnection, enough: Callable[[], bool]) -> None:
        if not self._accepted:
            await self._submit(socket)  # whether the log has it is not known: the same id again
        while True:
            if self._over:
                if enough():
                    return
                await self._ask(socket)
            frame = await self._frame(socket)
            if frame.get("state") == "accepted":
                self._accepted = True
            if "cursor" not in frame or frame["type"] == "heartbeat":
                continue
            self._cursor = frame["cursor"]
            self._take(frame)
            self._since_cut += 1
            if self._since_cut >= self._every:
                self._since_cut = 0
                self._count("cuts")
                if self._random.random() < CUT_BEFORE_SNAPSHOT:
                    self._cursor = None
                return

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        self.counts["inside a running answer"] += self._runs and not self._over

    @property
    def _key(self) -> str:
        return f"{self.session_id}-{self._asked}"

    async def _ask(self, socket: ClientConnection) -> None:
        self._asked += 1
        self._accepted = self._runs = self._over = False
        self._begin("")
        await self._submit(socket)

    def _begin(self, attempt: str) -> None:
        self._attempt, self._sequence, self._text = attempt, 0, ""
        self._reasoning_sequence, self._thoughts = 0, ""

    async def _submit(self, socket: ClientConnection) -> None:
        content = f"go [[key={self._key} tokens={self._tokens} rate={self._rate} dress=thinks]]"
        message = {"type": "user_message", "message_id": self._key, "content": content}
        await socket.send(json.dumps(message))

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["message_id"] != self._key:
            self.wrong.append(f"a frame of {frame['message_id']} while {self._key} runs")
        elif frame["type"] == "ai_response_chunk":
            self._sequence = self._placed(frame, self._sequence)
            self._text += frame["content"]
        elif frame["type"] == "ai_reasoning_chunk":
            self.counts["reasoning"] += 1
            self._reasoning_sequence = self._placed(frame, self._reasoning_sequence)
            self._thoughts += frame["content"]
        elif frame["type"] == "status" and frame["state"] == "generating":
            self.counts["starts"] += 1
            self._begin(frame["attempt"])
            self._accepted = self._runs = True
        elif frame["type"] in ("ai_response_complete", "error"):
            if frame.get("last_sequence") != self._sequence:
                self.wrong.append(f"{self._key} ends at {frame}, seen {self._sequence}")
            self._end("complete" if frame["type"] == "ai_response_complete" else str(frame))

    def _placed(self, frame: dict[str, Any], before: int) -> int:
        """Hold a chunk to the one of its kind before; gives its own sequence."""
        first, last = frame.get("first_sequence", frame["sequence"]), int(frame["sequence"])
        if first != before + 1:
            self.counts["repeats" if first <= before else "gaps"] += 1
            self.wrong.append(f"{self._key}: {first} after {before}, at {self._follows}: {frame}")
        if frame["attempt"] != self._attempt:
            self.wrong.append(f"a chunk of {frame['attempt']} while {self._attempt} runs")
        return last

    def _end(self, state: str) -> None:
        self._over, self._runs = True, False
        self.counts["answers"] += 1
        wanted = answer_text(self._key, 1, self._tokens)
        if state != "complete" or self._text != wanted:
            self.wrong.append(f"{self._key} is {state}: {self._text!r}, not {wanted!r}")
        if self._thoughts != thoughts(self._tokens):
            self.wrong.append(f"{self._key} thought {self._thoughts!r}")

    async def _frame(self, socket: ClientConnection) -> dict[str, Any]:
        try:
            async with asyncio.timeout(FRAME_WITHIN_S):
                frame: dict[str, Any] = json.loads(await socket.recv())
        except (TimeoutError, ConnectionClosed) as error:
            raise AssertionError(f"{self._key} at {self._cursor}: {error!r}") from error
        return frame
