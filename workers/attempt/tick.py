"""One tick for all attempts of a process: what has come from the models since goes into the log.

A timer, a task and a wait for each token is most of what a token costs. So every stream is read at
each tick, without waiting for any; its limits are looked at by the way; and all that is due leaves
as one batch a shard, with one acknowledgement. A shard's next batch leaves when the one before is
acknowledged, and what comes meanwhile gathers. A shard that stalls holds up no other.

The first text of an attempt does not wait for a tick (`beat`), nor does its last for longer than
for the acknowledgement before.

A model that says all at once has a backlog. Reading one stream's share of it takes milliseconds,
and twenty of them in one turn of the loop would hold up everybody's first text. So those are read
between two ticks, one a turn.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.topics import SESSION_LOG, Entry
from workers.attempt.clock import now_text
from workers.attempt.flow import Flow
from workers.attempt.pacing import tick_every_s

BATCH_FULL_BYTES = 128 * 1024
"""A batch that is as large takes no further record; one more is at most an escaped chunk's."""


class BatchSender(Protocol):
    """Writes records of one shard and waits for the broker. Raises SendFailed."""

    async def send_batch(self, topic: str, shard: int, entries: Sequence[Entry]) -> int:
        """Give the offset of the first."""


class Tick:
    """Moves every flow that was added, while `run` runs."""

    def __init__(self, sender: BatchSender, *, chunk_every_s: float) -> None:
        self._sender = sender
        self._chunk_every_s = chunk_every_s
        self._now = asyncio.get_running_loop().time
        self._flows: dict[Flow, None] = {}
        self._backlogged: dict[Flow, None] = {}
        """Those of whose models more may have come than was read, who waits longest first."""
        self._sending: dict[int, dict[Flow, None]] = {}
        """Shards with a batch in flight, and whose urgent text came meanwhile."""
        self._added = asyncio.Event()
        self._sends: asyncio.TaskGroup | None = None

    def add(self, flow: Flow) -> None:
        """Move it from now on."""
        self._flows[flow] = None
        self._added.set()

    def remove(self, flow: Flow) -> None:
        """Move it no more."""
        self._flows.pop(flow, None)
        self._backlogged.pop(flow, None)

    async def run(self) -> None:
        """Tick until cancelled."""
        async with asyncio.TaskGroup() as self._sends:
            at_s = self._now()
            while True:
                if not self._flows:
                    self._added.clear()
                    await self._added.wait()
                # From tick to tick, not from the end of one to the next: a pace that is kept.
                at_s = max(at_s + tick_every_s(len(self._flows), self._chunk_every_s), self._now())
                await self._read_backlogged(at_s)
                await asyncio.sleep(at_s - self._now())
                self.beat(now_s=at_s)

    async def _read_backlogged(self, until_s: float) -> None:
        """Read one a turn of the loop, and each once, while there is time; one at least."""
        for flow in list(self._backlogged):
            if flow in self._backlogged:  # still
                del self._backlogged[flow]
                self._read(flow, self._now())
                await asyncio.sleep(0)
            if self._now() >= until_s:
                return

    def _read(self, flow: Flow, now_s: float) -> None:
        flow.read(now_s)
        if flow.is_backlogged:
            self._backlogged[flow] = None

    def beat(self, flows: Iterable[Flow] | None = None, now_s: float | None = None) -> None:
        """Read these now, or all, and send what is due of them. Nothing here waits."""
        now_s = self._now() if now_s is None else now_s
        due: dict[int, list[Flow]] = {}
        for flow in list(self._flows) if flows is None else flows:
            if flow not in self._backlogged:
                self._read(flow, now_s)
            if not flow.is_due(now_s):
                continue
            if flow.shard not in self._sending:
                due.setdefault(flow.shard, []).append(flow)
            elif flow.is_urgent:
                self._sending[flow.shard][flow] = None
        for shard, ready in due.items():
            self._send(shard, ready, now_s)

    def _send(self, shard: int, ready: list[Flow], now_s: float) -> None:
        batch, entries = self._batch(ready, now_s)
        if not entries:
            return
        if self._sends is None:
            raise RuntimeError("the tick does not run")
        # Marked before anything waits: two beats never have the same shard in hand.
        self._sending[shard] = {}
        self._sends.create_task(self._acknowledged(shard, batch, entries))

    def _batch(self, ready: list[Flow], now_s: float) -> tuple[list[Flow], list[Entry]]:
        created_at = now_text()
        batch: list[Flow] = []
        entries: list[Entry] = []
        size = 0
        for number, flow in enumerate(ready):
            if size >= BATCH_FULL_BYTES:
                left = [each for each in ready[number:] if each in self._flows]
                self._flows = dict.fromkeys([*left, *self._flows])  # they are first the next time
                break
            try:
                entry = flow.entry(now_s, created_at)
            except Exception as error:
                flow.failed(error)
                continue
            batch.append(flow)
            entries.append(entry)
            size += len(entry.value)
        return batch, entries

    async def _acknowledged(self, shard: int, batch: list[Flow], entries: list[Entry]) -> None:
        failed: Exception | None = None
        try:
            await self._sender.send_batch(SESSION_LOG, shard, entries)
        except Exception as error:
            # Whatever it is, it ends these attempts and nothing else.
            failed = error
        urgent = self._sending.pop(shard)
        for flow in batch:
            if failed is None:
                flow.acknowledged()
            else:
                flow.failed(failed)
        self.beat(urgent)
