"""What workers know beside the log: the history in Redis, rebuilt from Postgres and the log."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from schemas.transcript import Message, Transcript
from tests.simulation.log import Broker, Trimmed
from tests.simulation.postgres import Away, Postgres
from tests.simulation.redis import Redis
from tests.simulation.world import World
from workers.history.prompt import Turn
from workers.history.rebuild import combined, folded_on
from workers.history.turns import turn_pair, turns_of
from workers.intake.actions import LookUp, MessageKey, Store

if TYPE_CHECKING:
    from tests.simulation.worker import Worker

Then = Callable[[Sequence[Turn], bool], None]
STORE_WAIT_S = 1.0
AWAY_S = 2.0
AGAIN_S = 1.0


class Memory:
    """Redis and Postgres, as all workers have them."""

    def __init__(self, world: World, broker: Broker, redis: Redis, postgres: Postgres) -> None:
        self.world = world
        self.broker = broker
        self.redis = redis
        self.postgres = postgres

    def of(self, worker: "Worker") -> "WorkerMemory":
        return WorkerMemory(self, worker)


class WorkerMemory:
    """One worker's way to them, as `workers.history.sessions` goes it."""

    def __init__(self, memory: Memory, worker: "Worker") -> None:
        self._world = memory.world
        self._broker = memory.broker
        self._redis = memory.redis
        self._postgres = memory.postgres
        self._worker = worker
        self._storing: dict[MessageKey, list[int]] = {}
        self._given_up: set[MessageKey] = set()
        self._forgone: set[str] = set()
        self._after(1.0, self._forget_forgone, timer=True)

    # -- before an answer

    def turns(self, shard: int, key: MessageKey, then: Then, waited_s: float = 0.0) -> None:
        session_id = key.session_id
        if self._stores(session_id) and waited_s < STORE_WAIT_S:
            self._after(0.1, self.turns, shard, key, then, waited_s + 0.1, timer=True)
            return
        self._after(self._world.delay(0.005), self._load, shard, session_id, then)

    def _stores(self, session_id: str) -> bool:
        return any(key.session_id == session_id for key in self._storing)

    def _load(self, shard: int, session_id: str, then: Then) -> None:
        missing = False
        if not self._stores(session_id) and session_id not in self._forgone:
            try:
                turns = self._redis.load(session_id)
            except Away:
                pass
            else:
                if turns is not None:
                    then(turns, True)
                    return
                missing = True
        self._rebuild(
            shard,
            session_id,
            lambda turns, full: self._keep(
                session_id, turns, full and missing, lambda: then(turns, full)
            ),
        )

    def _keep(
        self, session_id: str, turns: Sequence[Turn], whole: bool, then: Callable[[], None]
    ) -> None:
        if whole:
            with suppress(Away):
                self._redis.merge(session_id, turns, whole=True)
        then()

    def _rebuild(self, shard: int, session_id: str, then: Then) -> None:
        try:
            messages, next_offset = self._postgres.conversation(session_id, shard)
        except Away:
            self._after(AWAY_S, self._with_what_is_at_hand, shard, session_id, then)
            return
        self._after(
            self._world.delay(0.01), self._fold_on, shard, session_id, messages, next_offset, then
        )

    def _with_what_is_at_hand(self, shard: int, session_id: str, then: Then) -> None:
        at_hand = self._worker.intake.at_hand(shard, session_id)
        self._tell(at_hand.messages if at_hand else (), then, full=False)

    def _fold_on(
        self, shard: int, session_id: str, stored: list[Message], next_offset: int, then: Then
    ) -> None:
        epoch = self._broker.epoch
        transcript = Transcript(messages={message.message_id: message for message in stored})
        at_hand = self._worker.intake.at_hand(shard, session_id)
        if at_hand is None:
            if "whole-without-the-log" in self._world.broken:
                self._tell(list(transcript.messages.values()), then, full=True)
            else:
                self._tell((), then, full=False)
            return
        messages = combined(transcript, at_hand, next_offset=next_offset, epoch=epoch)
        if messages is not None:
            self._tell(messages, then, full=True)
            return
        log = self._broker.sessions[shard]
        try:
            records = log.read(next_offset, max(0, at_hand.position - next_offset))
        except Trimmed:
            self._with_what_is_at_hand(shard, session_id, then)
            return
        mine = [record for record in records if record.session_id == session_id]
        self._tell(folded_on(transcript, mine, epoch), then, full=True)

    def _tell(self, messages: Sequence[Message], then: Then, *, full: bool) -> None:
        epoch = self._broker.epoch
        turns = [turn for message in messages for turn in turns_of(message, epoch=epoch)]
        turns.sort(key=lambda turn: (turn.epoch, turn.offset))
        then(turns, full)

    def over(self, action: LookUp) -> None:
        self._after(self._world.delay(0.005), self._look_up, action)

    def _look_up(self, action: LookUp) -> None:
        over, sure, whole = self._stored_end(action)
        if not whole:
            try:
                loaded = self._redis.load(action.key.session_id)
            except Away:
                loaded = None
            if loaded is not None:
                over = any(turn.message_id == action.key.message_id for turn in loaded)
                sure = True
        now = self._world.now
        self._worker.intake.looked_up(action.token, over=over, sure=sure, now_s=now)
        self._worker.perform()

    def _stored_end(self, action: LookUp) -> tuple[bool, bool, bool]:
        """Whether it has ended, whether that is sure, and whether Redis could not know better."""
        key = action.key
        try:
            messages, next_offset = self._postgres.conversation(key.session_id, action.shard)
        except Away:
            return False, False, False
        if any(each.message_id == key.message_id and each.terminal for each in messages):
            return True, True, True
        at_hand = self._worker.intake.at_hand(action.shard, key.session_id)
        if at_hand is None or at_hand.start > next_offset:
            return False, False, False
        return False, True, at_hand.forgotten_to <= next_offset

    # -- after an answer

    def store(self, action: Store) -> None:
        """Merge a message's turns, however long it takes; two for one message are one."""
        waiting = self._storing.get(action.key)
        if waiting is not None:
            waiting.append(action.token)
            return
        self._storing[action.key] = [action.token]
        self._after(self._world.delay(0.005), self._store, action)

    def _store(self, action: Store) -> None:
        session_id = action.key.session_id
        if action.key in self._given_up:
            self._stored(action)
            return
        try:
            if not action.sure:
                self._redis.forget(session_id)
                self._stored(action)
                return
            epoch = self._broker.epoch
            turns = turn_pair(
                action.key.message_id,
                action.prompt,
                action.answer,
                epoch=epoch,
                offset=action.offset,
            )
            if self._redis.merge(session_id, turns, whole=False):
                self._stored(action)
                return
        except Away:
            if "failed-write-forgotten" in self._world.broken:
                self._stored(action)
            else:
                self._after(AGAIN_S, self._store, action)
            return
        self._rebuild(
            action.shard, session_id, lambda turns, full: self._store_whole(action, turns, full)
        )

    def _store_whole(self, action: Store, turns: Sequence[Turn], full: bool) -> None:
        """What can't be rebuilt now stays missing, and the next answer tries: nothing is lost."""
        try:
            if full:
                self._redis.merge(action.key.session_id, turns, whole=True)
        except Away:
            self._after(AGAIN_S, self._store, action)
        else:
            self._stored(action)

    def _stored(self, action: Store) -> None:
        self._given_up.discard(action.key)
        for token in self._storing.pop(action.key, []):
            self._worker.intake.stored(token, self._world.now)
        self._worker.perform()

    def forgo(self, key: MessageKey) -> None:
        if key in self._storing:
            self._given_up.add(key)
        self._forgone.add(key.session_id)

    def _forget_forgone(self) -> None:
        for session_id in sorted(self._forgone):
            try:
                self._redis.forget(session_id)
            except Away:
                break
            self._forgone.discard(session_id)
        self._after(2.0, self._forget_forgone, timer=True)

    def _after(
        self, delay_s: float, function: Callable[..., None], *arguments: object, timer: bool = False
    ) -> None:
        process = self._worker.process
        self._world.after(delay_s, function, *arguments, by=process, timer=timer)
