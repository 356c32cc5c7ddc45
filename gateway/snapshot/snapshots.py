"""Makes folds on demand: for snapshots, and for a `cancel` that names no message.

No fold is kept: one that is kept must be made anew after every resume and every gap, and would be
wrong in silence where that was forgotten. A fold is Postgres' rows and the log from the offset to
which they hold. If it can't be made now the connection is told once, goes on live, and is given its
snapshot when it can.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.counters import Counters
from gateway.feed.delivery import readable
from gateway.feed.reach import Reach, reach
from gateway.feed.tail import Tail
from gateway.snapshot.snapshot import end_lost, shown, snapshot
from gateway.snapshot.stored import Store, Stored, StoreUnavailable
from schemas.cursor import Cursor
from schemas.frames import Snapshot
from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import RangeTrimmed, ScanTooLarge
from schemas.transcript import Message, Place, Transcript

log = structlog.get_logger(__name__)

AT_ONCE = 4
STORE_LIMIT_S = 2.5
RETRY_S = 1.0


class FoldUnavailable(Exception):
    """The fold can't be made now: Postgres or the log does not answer, or there is too much."""


class Joiner(Protocol):
    """Who waits for a snapshot: a connection."""

    session_id: str
    shard: int
    joined_at: int
    history: int

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to take it."""

    def take_snapshot(self, frame: Snapshot, position: int) -> None:
        """Give it to the client; the next record that it needs is at `position`."""

    def history_is_unavailable(self) -> None:
        """Say (once) that the snapshot comes later."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The fold of a session up to `position`; to be used before anything is waited for."""

    transcript: Transcript
    position: int


class Snapshots:
    """Serves those who wait, a few at once, while `run` runs."""

    def __init__(self, store: Store, tail: Tail, epoch: int, counters: Counters) -> None:
        self._store = store
        self._tail = tail
        self._epoch = epoch
        self._counters = counters
        self._waiting: deque[Joiner] = deque()
        self._wake = asyncio.Event()
        self._store_is_away = False
        self._tasks: asyncio.TaskGroup | None = None

    def request(self, joiner: Joiner) -> None:
        """Have the joiner given a snapshot, as soon as that can be done."""
        if self._store_is_away:
            joiner.history_is_unavailable()
        self._waiting.append(joiner)
        self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._store.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for _ in range(AT_ONCE):
                    tasks.create_task(self._serve())
        finally:
            await self._store.close()

    async def fold(self, session_id: str, shard: int, joined: Place, history: int) -> Fold:
        """Make the fold of a session up to the newest record; text only where `shown` says so.

        Raises:
            FoldUnavailable: it can't be made now.
        """
        try:
            stored = await self._read(session_id, shard, joined, history)
            log_start = self._tail.log_starts[shard]
            begin = log_start if stored.next_offset is None else stored.next_offset
            try:
                found = await reach(self._tail, shard, begin)
            except RangeTrimmed:
                # The log was trimmed beyond the stored offset: open messages may lack chunks.
                begin = await self._tail.start_offset(shard)
                for message in stored.messages:
                    message.damaged = message.damaged or not message.terminal
                found = await reach(self._tail, shard, begin)
        except (LogUnavailable, ScanTooLarge, RangeTrimmed) as error:
            raise FoldUnavailable(str(error)) from error
        # From here on nothing is waited for: the fold ends where the tail ends.
        return self._folded(stored, found, session_id, log_start)

    def _folded(self, stored: Stored, found: Reach, session_id: str, log_start: int) -> Fold:
        transcript = Transcript(messages={m.message_id: m for m in stored.messages})
        named = set()
        for record in found.records(session_id):
            event = readable(record, session_id)
            if event is not None:
                transcript.apply(event, Place(self._epoch, record.offset))
                named.add(event.message_id)
        if stored.next_offset is not None:
            # Only messages of an earlier epoch are known to be over here. Whether a message is
            # lost because the log was trimmed is the persister's to say: it has read both topics.
            end_lost(
                transcript.messages.values(),
                self._epoch,
                log_start,
                lambda id_: id_ in named or stored.named_in_epoch.get(id_, 0) >= self._epoch,
            )
        return Fold(transcript, found.end)

    async def _serve(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            joiner = self._waiting.popleft()
            if joiner.gone:
                continue
            try:
                await self._give(joiner)
            except FoldUnavailable as error:
                self._counters.snapshots_failed += 1
                log.warning("no snapshot for now", error=str(error))
                joiner.history_is_unavailable()
                self._waiting.append(joiner)
                await asyncio.sleep(RETRY_S)

    async def _give(self, joiner: Joiner) -> None:
        joined = Place(self._epoch, joiner.joined_at)
        fold = await self.fold(joiner.session_id, joiner.shard, joined, joiner.history)
        frame = snapshot(
            joiner.session_id,
            fold.transcript,
            Cursor(self._epoch, joiner.shard, fold.position - 1),
            joined=joined,
            history=joiner.history,
            log_start=self._tail.log_starts[joiner.shard],
        )
        joiner.take_snapshot(frame, fold.position)
        self._counters.snapshots += 1

    async def _read(self, session_id: str, shard: int, joined: Place, history: int) -> Stored:
        """Read the rows, but wait no longer than the limit: a server that hangs is away."""
        assert self._tasks is not None  # noqa: S101 - run runs
        reading = self._tasks.create_task(
            self._read_once(session_id, shard, lambda rows: shown(rows, joined, history))
        )
        done, _ = await asyncio.wait({reading}, timeout=STORE_LIMIT_S)
        outcome = (
            reading.result() if done else StoreUnavailable(f"no answer in {STORE_LIMIT_S:g} s")
        )
        # The cancelled read is not waited for: psycopg asks the server to cancel, which may hang.
        reading.cancel()
        self._store_is_away = isinstance(outcome, StoreUnavailable)
        if isinstance(outcome, StoreUnavailable):
            for joiner in self._waiting:
                joiner.history_is_unavailable()
            raise FoldUnavailable(str(outcome)) from outcome
        return outcome

    async def _read_once(
        self, session_id: str, shard: int, shown_of: Callable[[Sequence[Message]], Collection[str]]
    ) -> Stored | StoreUnavailable:
        try:
            return await self._store.read(session_id, shard, shown_of)
        except StoreUnavailable as error:
            return error
