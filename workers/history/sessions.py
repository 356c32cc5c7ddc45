"""What a worker knows of a session beside the log: its history, and whether a message is over.

Redis remembers the last turns of each session; Postgres and the log can rebuild them. Redis may be
empty, away or hanging, Postgres too, and an answer must not wait for either longer than its limit:

* A history that is there is believed, unless this process has turns of the session that are not in
  it yet. A missing one is rebuilt, and stored if the rebuild is whole. A partial one never is. Of
  a session that is talked in its owner remembers what is there, and need not ask.
* Turns are stored however long it takes; the message is acknowledged only then.
* With Postgres away, the next answers make do with the fold at hand, and say so (`partial`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import LogScanner, RangeTrimmed, ScanTooLarge
from schemas.transcript import Message, Transcript
from workers.history.forgetting import Forgetting
from workers.history.known_messages import KnownMessages
from workers.history.prompt import KnownTurns, Turn
from workers.history.rebuild import combined, folded_on
from workers.history.recent_histories import RecentHistories
from workers.history.redis_history import History, HistoryUnavailable
from workers.history.spent import Spent
from workers.history.stored_conversation import CONNECTIONS_MAX, StoredConversations
from workers.history.turns import turn_pair, turns_of
from workers.intake.actions import LookUp, MessageKey, NoteEnd, Store
from workers.intake.shard_fold import AtHand

log = structlog.get_logger(__name__)
T = TypeVar("T")

STORES_AT_ONCE = 16
LOADS_AT_ONCE = 16
READS_AT_ONCE = CONNECTIONS_MAX
STORE_WAIT_S = 1.0
"""How long an answer waits for the turns before it to be stored, before it rebuilds them."""
AGAIN_FIRST_S = 0.2
AGAIN_MAX_S = 2.0
REDIS_REST_S = 1.0
POSTGRES_REST_S = 5.0
"""After a failure nobody asks again for so long: one answer waits in vain, not every one."""
WHOLE_MAX_AGE_S = 5.0


class Sessions:
    """History, rebuilt if need be. Only `store` waits without a limit."""

    def __init__(
        self,
        *,
        history: History,
        recent: RecentHistories,
        spent: Spent,
        conversations: StoredConversations,
        scanner: LogScanner,
        at_hand: Callable[[int, str], AtHand | None],
        log_start: Callable[[int], Awaitable[int]],
        epoch: int,
        again_first_s: float = AGAIN_FIRST_S,
        store_wait_s: float = STORE_WAIT_S,
    ) -> None:
        self._store_wait_s = store_wait_s
        self._again_first_s = again_first_s
        self._history = history
        self._spent = spent
        self._conversations = conversations
        self._scanner = scanner
        self._at_hand = at_hand
        self._log_start = log_start
        self._epoch = epoch
        self._storing: dict[MessageKey, asyncio.Event] = {}
        self._sessions: dict[str, int] = {}  # how many stores of a session are under way
        self._settled = asyncio.Condition()
        self._slots = asyncio.Semaphore(STORES_AT_ONCE)
        # Who waits for its turn does not wait for Redis or Postgres: their limits begin after it.
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._forgetting = Forgetting(history, epoch)
        self._known = KnownMessages()
        self._recent = recent
        self._given_up: set[MessageKey] = set()
        self._redis_rests_until = self._postgres_rests_until = float("-inf")

    # -- before an answer

    async def turns(self, shard: int, session_id: str) -> KnownTurns:
        """Give what was said before in the session."""
        await self._stores_have_ended(session_id)
        missing = False
        if self._trusted(session_id):
            at_hand = self._at_hand(shard, session_id)
            recent = self._recent.find(session_id, at_hand)
            if recent is not None:
                return KnownTurns(recent, full=True)
            try:
                turns = await self._load(session_id)
            except HistoryUnavailable:
                pass
            else:
                if turns is not None:
                    if self._trusted(session_id):
                        self._recent.loaded(session_id, turns, at_hand)
                    return KnownTurns(turns, full=True)
                missing = True
        began = time.monotonic()
        known = await self._rebuilt(shard, session_id)
        # A rebuild that took long may lack what ended meanwhile: it must not make the key.
        if known.full and missing and time.monotonic() - began < WHOLE_MAX_AGE_S:
            try:
                await self._history.store_whole(session_id, known.turns)
            except HistoryUnavailable as error:
                self._redis_failed(error)
        return known

    async def over(self, action: LookUp) -> tuple[bool, bool]:
        """Whether a message that the fold doesn't know has ended, and whether that is sure.

        Of a session that was asked for a moment ago, nobody is asked. Mostly the fold at hand knows
        all that Postgres has not heard of yet: then Redis could tell nothing more, and is not
        asked. Of what the fold has forgotten since, Redis alone may know.
        """
        key = action.key
        at_hand = self._at_hand(action.shard, key.session_id)
        if at_hand is not None and self._known.lacks(key, at_hand):
            return False, True
        stored = await self._asked(
            lambda: self._conversations.look_up(
                key.session_id, key.message_id, shard=action.shard, epoch=self._epoch
            )
        )
        if stored is not None and stored.ended:
            return True, True
        at_hand = self._at_hand(action.shard, key.session_id)
        sure = False
        if stored is not None and at_hand is not None:
            heard_to = stored.next_offset or 0
            if at_hand.whole_from(heard_to):
                self._known.learn(key.session_id, stored.message_ids, at_hand)
                return False, True
            sure = at_hand.start <= heard_to
        loaded = await self._loaded(key.session_id)
        if loaded is None:
            return False, sure
        return any(turn.message_id == key.message_id for turn in loaded), True

    # -- after an answer

    async def store(self, action: Store) -> bool:
        """Merge a message's turns; returns when Redis has them, or can do without them.

        True: it has them. False: there is no history that they could be merged into, or they were
        given up by `forgo`. The next answer of the session rebuilds it then.
        """
        key = action.key
        under_way = self._storing.get(key)
        if under_way is not None:
            await under_way.wait()
            return False
        ended = self._storing[key] = asyncio.Event()
        self._sessions[key.session_id] = self._sessions.get(key.session_id, 0) + 1
        try:
            return await self._store_insistently(action)
        finally:
            del self._storing[key]
            self._given_up.discard(key)
            self._sessions[key.session_id] -= 1
            if not self._sessions[key.session_id]:
                del self._sessions[key.session_id]
            ended.set()
            async with self._settled:
                self._settled.notify_all()

    def forgo(self, key: MessageKey) -> None:
        """Give the message's turns up: its session's history is forgotten once Redis is back."""
        if key in self._storing:
            self._given_up.add(key)
        self._recent.forget(key.session_id)
        self._forgetting.lacks_turns(key.session_id)

    def forgetting(self, session_id: str, offset: int) -> None:
        """Believe nothing that Redis has of a session which was forgotten there, from now on."""
        self._forgetting.forgotten(session_id, offset)
        self._known.forget(session_id)
        self._recent.forget(session_id)

    async def forget(self, session_id: str) -> None:
        """Have Redis forget it too; as long as that fails, `run` tries it again."""
        try:
            await self._forgetting.forget(session_id)
        except HistoryUnavailable as error:
            self._redis_failed(error)

    async def note_end(self, ended: NoteEnd) -> None:
        """Note that a user's message has ended, for his limits; no message waits for it."""
        await self._spent.note(ended)

    async def run(self) -> None:
        """Have Redis forget what it must, as soon as it allows it. Until cancelled."""
        await self._forgetting.run()

    async def _store_insistently(self, action: Store) -> bool:
        wait_s = self._again_first_s
        while action.key not in self._given_up:
            try:
                async with self._slots:
                    return await self._store_once(action)
            except HistoryUnavailable as error:
                self._redis_failed(error)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, AGAIN_MAX_S)
        return False

    async def _store_once(self, action: Store) -> bool:
        session_id, message_id = action.key
        if action.sure:
            turns = turn_pair(
                message_id, action.prompt, action.answer, epoch=self._epoch, offset=action.offset
            )
            if await self._history.merge(session_id, turns) == "stored":
                self._recent.stored(session_id, turns)
                return True
        else:
            # Its first life may lie before all we know: this text may not take its place. A whole
            # rebuild tells which text is the first.
            await self._history.forget(session_id)
        self._recent.forget(session_id)
        began = time.monotonic()
        known = await self._rebuilt(action.shard, session_id)
        # If it can't be rebuilt now, it stays missing, and the next answer tries: nothing is lost.
        if not known.full or time.monotonic() - began >= WHOLE_MAX_AGE_S:
            return False
        await self._history.store_whole(session_id, known.turns)
        return True

    def _trusted(self, session_id: str) -> bool:
        return session_id not in self._sessions and session_id not in self._forgetting

    async def _stores_have_ended(self, session_id: str) -> None:
        if session_id not in self._sessions:
            return
        try:
            async with asyncio.timeout(self._store_wait_s), self._settled:
                await self._settled.wait_for(lambda: session_id not in self._sessions)
        except TimeoutError:
            return

    # -- rebuilding

    async def _rebuilt(self, shard: int, session_id: str) -> KnownTurns:
        stored = await self._asked(
            lambda: self._conversations.read(session_id, shard=shard, epoch=self._epoch)
        )
        messages: Sequence[Message] | None = None
        if stored is not None:
            try:
                messages = await self._whole(
                    shard, session_id, stored.transcript, stored.next_offset
                )
            except (LogUnavailable, ScanTooLarge, RangeTrimmed) as error:
                log.warning("history is partial", session=session_id, error=str(error))
        full = messages is not None
        if messages is None:
            at_hand = self._at_hand(shard, session_id)
            messages = at_hand.messages if at_hand else ()
        turns = [turn for message in messages for turn in turns_of(message, epoch=self._epoch)]
        turns.sort(key=lambda turn: (turn.epoch, turn.offset))
        return KnownTurns(turns, full)

    async def _whole(
        self, shard: int, session_id: str, stored: Transcript, next_offset: int | None
    ) -> Sequence[Message] | None:
        if next_offset is None:
            next_offset = await self._log_start(shard)
        at_hand = self._at_hand(shard, session_id)
        if at_hand is None:
            return None  # the shard was lost: how far its log goes beyond the rows is unknown here
        messages = combined(stored, at_hand, next_offset=next_offset, epoch=self._epoch)
        if messages is not None:
            return messages
        scanned = await self._scanner.scan(shard, next_offset, at_hand.position)
        return folded_on(stored, scanned.read(session_id, next_offset), self._epoch)

    # -- Redis and Postgres, each asked only if it did not fail a moment ago

    async def _load(self, session_id: str) -> list[Turn] | None:
        async with self._loads:
            # Asked only now: while others waited before us, it may have failed.
            if time.monotonic() < self._redis_rests_until:
                raise HistoryUnavailable("it failed a moment ago")
            try:
                return await self._history.load(session_id)
            except HistoryUnavailable as error:
                self._redis_failed(error)
                raise

    async def _loaded(self, session_id: str) -> list[Turn] | None:
        try:
            return await self._load(session_id)
        except HistoryUnavailable:
            return None

    def _redis_failed(self, error: HistoryUnavailable) -> None:
        now = time.monotonic()
        if now >= self._redis_rests_until:
            log.warning("redis is away", error=str(error))
        self._redis_rests_until = now + REDIS_REST_S

    async def _asked(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        async with self._reads:
            if time.monotonic() < self._postgres_rests_until:
                return None
            answer = await ask()
            if answer is None:
                log.warning("postgres is away")
                self._postgres_rests_until = time.monotonic() + POSTGRES_REST_S
            return answer
