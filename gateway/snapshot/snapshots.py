"""Makes folds on demand: for snapshots, and for a `cancel` that names no message.

No fold is kept: one that is kept must be made anew after every resume and every gap, and would be
wrong in silence where that was forgotten. A fold is Postgres' rows and the log from the offset to
which they hold. If it can't be made now the connection is told once, goes on live, and is given its
snapshot when it can.

Joiners wait by shard, and shards take turns: a few of one are served together, so that they share
what is read of its log, and a shard of which much must be read holds up its own joiners only.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

import structlog

from gateway.counters import Counters
from gateway.feed.reach import Range, reach
from gateway.feed.slices import in_slices
from gateway.feed.tail import Tail
from gateway.snapshot.growing_fold import GrowingFold
from gateway.snapshot.snapshot import entries, snapshot
from gateway.snapshot.stored import Store, Stored, StoreUnavailable, Wanted
from schemas.cursor import Cursor
from schemas.forgetting import forgets
from schemas.frames import History, Snapshot
from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import RangeTrimmed, ScanTooLarge
from schemas.transcript import Place, Transcript

log = structlog.get_logger(__name__)

SHARDS_AT_ONCE = 16
OF_A_SHARD = 8
"""So many joiners of one shard are served together; a turn ends with the last of them."""
READS_AT_ONCE = 4
"""As many as the store has connections: who waits for one has not begun to wait for Postgres."""
STORE_LIMIT_S = 2.5
RETRY_S = 1.0
FAILING_LIMIT_S = 10.0
"""Rows that could not be read for so long are told; then it is asked whether Postgres is away."""
PROBE_EVERY_S = 5.0
TAIL_LIMIT_S = 1.0
TAIL_LOOK_S = 0.02
LOOK_UPS_MAX = 5
"""While new messages are looked up others may begin: so often they are looked up too."""
T = TypeVar("T")


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
    """The fold of a session up to `position`, which the tail held when it was given.

    Of the messages that have ended `transcript` holds the newest, as many as were asked for;
    `ended` are ids of others, and `more` says that there are older ones.
    """

    transcript: Transcript
    position: int
    ended: Sequence[str] = ()
    more: bool = False


class Snapshots:
    """Serves those who wait, a few at once, while `run` runs."""

    def __init__(self, store: Store, tail: Tail, epoch: int, counters: Counters) -> None:
        self._store = store
        self._tail = tail
        self._epoch = epoch
        self._counters = counters
        self._waiting: dict[int, dict[Joiner, None]] = {}  # by shard, both in their order
        self._serving: set[int] = set()
        self._wake = asyncio.Event()
        self._store_is_away = False
        self._reads: set[asyncio.Task[Any]] = set()
        self._may_read = asyncio.Semaphore(READS_AT_ONCE)
        self._failing_since_s: float | None = None
        self._only_the_pool_fails = False

    def request(self, joiner: Joiner) -> None:
        """Have the joiner given a snapshot, as soon as that can be done."""
        if self._store_is_away:
            joiner.history_is_unavailable()
        self._enqueue(joiner)

    def withdraw(self, joiner: Joiner) -> None:
        """Forget a joiner that has gone: what waits is what lives."""
        here = self._waiting.get(joiner.shard, {})
        here.pop(joiner, None)
        if not here:
            self._waiting.pop(joiner.shard, None)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._store.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                for _ in range(SHARDS_AT_ONCE):
                    tasks.create_task(self._serve())
        finally:
            # The process ends: nobody misses the connections of these.
            for read in self._reads:
                read.cancel()
            await self._store.close()

    def failing(self) -> str | None:
        """Say for how long no rows could be read, if that is long: joiners get no snapshot."""
        for_s = self._failing_s()
        return f"no snapshots for {for_s:.0f} s" if for_s > FAILING_LIMIT_S else None

    def not_ready(self) -> str | None:
        """Say that joiners are better off elsewhere, or None.

        While Postgres is away every gateway is in the same place, and chat goes on: that is none.
        """
        return f"{self.failing()}, though Postgres answers" if self._only_the_pool_fails else None

    def _failing_s(self) -> float:
        since_s = self._failing_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            if self.failing() is not None:
                # Nobody may be waiting: then nothing else would find out that it works again.
                with contextlib.suppress(FoldUnavailable):
                    await self._read(Wanted("", 0, Place(self._epoch, 0), 0, 0))
            answers = self.failing() is not None and await self._store.answers()
            self._only_the_pool_fails = answers and self.failing() is not None
            if self._only_the_pool_fails:
                log.error("no rows can be read, though Postgres answers")

    async def fold(
        self,
        session_id: str,
        shard: int,
        joined: Place,
        history: int,
        asked: Collection[str] = (),
    ) -> Fold:
        """Make the fold of a session up to the newest record; see `Fold` for what it holds.

        `asked`: messages that are named in its `ended` if they have ended, however long ago.

        Raises:
            FoldUnavailable: it can't be made now.
        """
        try:
            log_start = self._tail.log_starts[shard]
            stored = await self._read(Wanted(session_id, shard, joined, history, log_start))
            begin = log_start if stored.next_offset is None else stored.next_offset
            await self._tail_reaches(shard, joined.offset)
            try:
                found = await reach(self._tail, shard, begin, session_id)
            except RangeTrimmed:
                # The log was trimmed beyond the stored offset: open messages may lack chunks.
                begin = await self._tail.start_offset(shard)
                for message in stored.messages:
                    message.damaged = message.damaged or not message.terminal
                found = await reach(self._tail, shard, begin, session_id)
        except (LogUnavailable, ScanTooLarge, RangeTrimmed) as error:
            raise FoldUnavailable(str(error)) from error
        return await self._folded(stored, found, session_id, shard, asked)

    async def _tail_reaches(self, shard: int, offset: int) -> None:
        # A shard that is read since a moment ago is not in the fetch in flight: without this the
        # fold could end before what the joiner was shown elsewhere, and take it back.
        try:
            async with asyncio.timeout(TAIL_LIMIT_S):
                while self._tail.shard_logs[shard].end < offset:  # noqa: ASYNC110 - for a moment
                    await asyncio.sleep(TAIL_LOOK_S)
        except TimeoutError:
            raise FoldUnavailable("the tail is behind") from None

    async def _folded(
        self, stored: Stored, found: Range, session_id: str, shard: int, asked: Collection[str]
    ) -> Fold:
        log_start = self._tail.log_starts[shard]
        growing = GrowingFold(stored, session_id, self._epoch)
        async for record in in_slices(found.records):
            growing.take(record)
        end = self._read_on(growing, session_id, shard, found.end)
        for _ in range(LOOK_UPS_MAX):
            if not (unknown := growing.unknown(asked)):
                break
            late = await self._within_limit(
                self._store.ended_before(session_id, unknown, stored.next_offset or 0)
            )
            if isinstance(late, StoreUnavailable):
                raise FoldUnavailable(str(late))
            growing.know(unknown, late)
            end = self._read_on(growing, session_id, shard, end)
        growing.end_lost(log_start)
        return Fold(growing.transcript, end, growing.ended, growing.more)

    def _read_on(self, growing: GrowingFold, session_id: str, shard: int, end: int) -> int:
        """Fold what has come meanwhile: the joiner was given it, and a snapshot takes nothing back.

        Gives where the fold ends. Whoever goes on from there finds it in the tail.
        """
        tail = self._tail.shard_logs[shard]
        if tail.start > end:
            raise FoldUnavailable("the tail ran ahead of the fold")
        if tail.end <= end:
            return end  # a scan may have come further
        for record in tail.read(session_id, end):
            growing.take(record)
        return tail.end

    async def _serve(self) -> None:
        while True:
            while (shard := self._next_shard()) is None:
                self._wake.clear()
                await self._wake.wait()
            self._serving.add(shard)
            try:
                await asyncio.gather(*(self._serve_one(each) for each in self._take(shard)))
            finally:
                self._serving.discard(shard)
                self._wake.set()
            if self._store_is_away:
                await asyncio.sleep(RETRY_S)  # the others would fare no better

    def _next_shard(self) -> int | None:
        return next((shard for shard in self._waiting if shard not in self._serving), None)

    def _take(self, shard: int) -> list[Joiner]:
        """Take those who are served in the shard's turn; its next one is behind the others'."""
        waiting = self._waiting.pop(shard)
        taken = list(islice(waiting, OF_A_SHARD))
        for joiner in taken:
            del waiting[joiner]
        if waiting:
            self._waiting[shard] = waiting
        return taken

    async def _serve_one(self, joiner: Joiner) -> None:
        if joiner.gone:
            return
        try:
            await self._give(joiner)
        except FoldUnavailable as error:
            log.warning("no snapshot for now", error=str(error))
            self._again_later(joiner)
        except Exception:
            # Of one joiner: the others, and this process, have nothing to do with it.
            log.exception("a snapshot failed", session_id=joiner.session_id)
            self._again_later(joiner)

    def _again_later(self, joiner: Joiner) -> None:
        self._counters.snapshots_failed += 1
        joiner.history_is_unavailable()
        asyncio.get_running_loop().call_later(RETRY_S, self._enqueue, joiner)

    def _enqueue(self, joiner: Joiner) -> None:
        if joiner.gone:
            return
        self._waiting.setdefault(joiner.shard, {})[joiner] = None
        self._wake.set()

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
            ended=fold.ended,
            more=fold.more,
        )
        joiner.take_snapshot(frame, fold.position)
        self._counters.snapshots += 1

    async def earlier(self, session_id: str, shard: int, before: str | None, limit: int) -> History:
        """Give finished messages that began before that one; the newest, if it is not known.

        Raises:
            FoldUnavailable: Postgres or the log does not answer now.
        """
        page = await self._asked(self._store.earlier(session_id, shard, before, limit))
        found = [entry for message in page.messages for entry in entries(message)]
        if found and await self._forgotten_since(session_id, shard, page.next_offset):
            return History(session_id=session_id, before=before, messages=[], more=False)
        return History(session_id=session_id, before=before, messages=found, more=page.more)

    async def _forgotten_since(self, session_id: str, shard: int, stored: int | None) -> bool:
        """Whether the log says, behind what is stored, that the session was forgotten."""
        try:
            begin = self._tail.log_starts[shard] if stored is None else stored
            found = await reach(self._tail, shard, begin, session_id)
        except (LogUnavailable, ScanTooLarge, RangeTrimmed) as error:
            raise FoldUnavailable(str(error)) from error
        return any(map(forgets, found.records))

    async def _read(self, wanted: Wanted) -> Stored:
        """Read the rows, but wait no longer than the limit: a server that hangs is away."""
        return await self._asked(self._store.read(wanted))

    async def _asked(self, reading: Coroutine[Any, Any, T]) -> T:
        outcome = await self._within_limit(reading)
        self._store_is_away = isinstance(outcome, StoreUnavailable)
        if isinstance(outcome, StoreUnavailable):
            self._failing_since_s = self._failing_since_s or time.monotonic()
            for joiner in chain.from_iterable(self._waiting.values()):
                joiner.history_is_unavailable()
            raise FoldUnavailable(str(outcome)) from outcome
        self._failing_since_s = None
        return outcome

    async def _within_limit(self, reading: Coroutine[Any, Any, T]) -> T | StoreUnavailable:
        # A pooled read is never cancelled, neither at its limit nor with whoever waits for it: that
        # can lose its connection for good, and after a flood of joins that left there was none. It
        # is let go, and ends when the server has answered or the connection breaks.
        try:
            async with asyncio.timeout(STORE_LIMIT_S):
                await self._may_read.acquire()
        except TimeoutError:
            reading.close()
            return StoreUnavailable(f"{READS_AT_ONCE} reads have not ended in {STORE_LIMIT_S:g} s")
        except asyncio.CancelledError:
            reading.close()  # it has not begun
            raise
        read = asyncio.create_task(reading)
        self._reads.add(read)
        read.add_done_callback(self._let_go)
        done, _ = await asyncio.wait({read}, timeout=STORE_LIMIT_S)
        if not done:
            return StoreUnavailable(f"no answer in {STORE_LIMIT_S:g} s")
        try:
            return read.result()
        except StoreUnavailable as error:
            return error

    def _let_go(self, read: "asyncio.Task[Any]") -> None:
        self._reads.discard(read)
        self._may_read.release()
        if not read.cancelled():
            read.exception()  # seen here; whoever still waits for it sees it too
