"""Runs the protocol on one socket: a position in the log on one side, a client on the other.

What comes from the log is pushed into the socket by whoever reads the log, while the socket takes
it; what the client says is read and performed one frame after another, at most one a turn of the
loop. So a connection costs one task, and it is idle when nothing happens.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ulid import ULID
from websockets.exceptions import ConnectionClosed

from gateway.counters import Counters
from gateway.feed.delivery import frames_of
from gateway.feed.followers import Feed, Followers, cursor_prefix
from gateway.feed.reach import reach
from gateway.feed.resume import fits, may_fit, resume_position
from gateway.feed.slices import in_slices
from gateway.feed.tail import Tail
from gateway.identity.claims import BadToken, CantTell
from gateway.identity.hook import Hook
from gateway.identity.rights import EVERYTHING, Rights
from gateway.identity.tokens import Tokens
from gateway.snapshot.snapshots import FoldUnavailable, Snapshots
from gateway.socket.address import Address
from gateway.socket.frame_bucket import LOOK_UP_COSTS, FrameBucket
from gateway.socket.protocol import (
    Action,
    Beat,
    Close,
    GiveEarlier,
    Protocol,
    Renew,
    Send,
    StopAnswer,
    Submit,
    refused,
)
from gateway.socket.websocket import WebSocket, wire
from gateway.submit.submit import Submitter
from schemas.close_codes import CloseCode
from schemas.events import iso
from schemas.frames import (
    Connected,
    Frame,
    GatewayErrorCode,
    Heartbeat,
    HistoryUnavailable,
    Refused,
    Snapshot,
    encode,
)
from schemas.limits import HEARTBEAT_S
from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import RangeTrimmed, ScanTooLarge
from schemas.shard_log import PositionGone, Record, ShardLog
from schemas.transcript import Place

LOOK_UP_LIMIT_S = 1.0
"""Whether there is something to stop is asked no longer than this: a stop is wanted at once."""
HEARTBEAT_LEAST = 0.7
STOPPED_AGAIN_S = 5.0
"""A cancel that is in the log is not written again so soon."""
STOPPED_MAX = 64


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of a process share. `spawn` starts a task that the server waits for.

    `tokens` and `hook` None: there is no authentication.
    """

    epoch: int
    shards: int
    tail: Tail
    followers: Followers
    submitter: Submitter
    snapshots: Snapshots
    counters: Counters
    models: Collection[str]
    idle_limit_s: float
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    tokens: Tokens | None = None
    hook: Hook | None = None


class Connection:
    """One client. `position` is the offset of the next record that it needs.

    `caught_up`: it has been given all of the session that the shard log holds, so its position is
    the log's end, wherever that moves, until the next record of the session.
    """

    __slots__ = (
        "_bucket",
        "_ended",
        "_history_is_unavailable",
        "_joined",
        "_position",
        "_protocol",
        "_shared",
        "_snapshot_is_due",
        "_socket",
        "_stopped_at_s",
        "caught_up",
        "history",
        "joined_at",
        "session_id",
        "shard",
    )

    def __init__(
        self,
        socket: WebSocket,
        address: Address,
        shard: int,
        shared: Shared,
        rights: Rights = EVERYTHING,
    ) -> None:
        self.session_id = address.session_id
        self.shard = shard
        self.history = address.history
        self.joined_at = 0
        self.caught_up = False
        self._position = 0
        self._joined = False
        self._ended = False
        self._snapshot_is_due = False
        self._history_is_unavailable = False
        self._socket = socket
        self._shared = shared
        now_s = time.monotonic()
        self._bucket = FrameBucket(now_s)
        self._stopped_at_s: dict[str, float] = {}
        self._protocol = Protocol(
            self.session_id,
            now_s,
            _new_id,
            shared.models,
            shared.idle_limit_s,
            # Those that joined in one moment, after a gateway has gone, do not beat in one moment.
            heartbeat_s=HEARTBEAT_S * random.uniform(HEARTBEAT_LEAST, 1.0),  # noqa: S311
            rights=rights,
            renews=shared.tokens is not None,
        )

    @property
    def position(self) -> int:
        """The offset of the next record that the client needs."""
        return max(self._position, self._log.end) if self.caught_up else self._position

    @property
    def gone(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return not self._joined or not self._socket.open

    async def run(self, cursor: str | None) -> None:
        """Serve the client until its socket is closed; `cursor` is what it wants to resume from."""
        self._shared.followers.add(self)
        try:
            await self._join(cursor)
            async for frame in self._socket:
                if not self._is_heard():
                    break
                await self._take(frame)
        except ConnectionClosed:
            return
        finally:
            self._shared.followers.remove(self)
            self._shared.snapshots.withdraw(self)

    def _is_heard(self) -> bool:
        """Say whether what the client said is still performed.

        What lies in the buffers of a socket that has closed is not: nobody waits for it. Except a
        few frames of a client that said goodbye after them, in order: it has said what it wanted.
        """
        if self._ended:
            return False
        if self._socket.open:
            return True
        return self._socket.left_in_order and not self._bucket.wait_s(time.monotonic())

    async def _take(self, frame: str | bytes) -> None:
        """Perform a frame, then let everybody else go on: the library would give the next at once.

        Who has asked for more than its share waits, and what it goes on saying waits in its kernel.
        """
        self._shared.counters.frames_received += 1
        if self._close_if_over():
            return
        actions = self._protocol.receive(frame, utc_now())
        for action in actions:
            await self._perform(action)
        extra = LOOK_UP_COSTS * sum(
            isinstance(action, StopAnswer | GiveEarlier | Renew) for action in actions
        )
        now_s = time.monotonic()
        self._bucket.take(len(frame), now_s, extra)
        await asyncio.sleep(self._bucket.wait_s(now_s))

    def lacks_only(self, offset: int) -> bool:
        """Whether the session's record there is all that it lacks, and its socket takes it.

        It may have been given it already: a resume can reach further than the tail has come.
        """
        return (
            self.caught_up and self._position <= offset and self._joined and self._socket.writable
        )

    def give(self, frame: bytes) -> None:
        """Give the client the record that came. It is caught up as before: at the log's end."""
        self._hand_over([frame])

    def wake(self, first_offset: int, feed: Feed) -> None:
        """Records of the session have come: give them to the client, if its socket takes them."""
        if not self._joined:
            return  # joining reads from its position anyhow
        if self.caught_up:
            self._position = max(self._position, first_offset)
            self.caught_up = False
        self._deliver(feed)

    def lose_position(self) -> None:
        """The log was trimmed, or made anew, under this connection: it has to come again."""
        self.close_soon(CloseCode.SLOW_CLIENT, "the log was trimmed before it was read")

    def tick(self, now_s: float) -> None:
        """Let time pass: a heartbeat, and the end of a client that has not kept up."""
        if self.gone or self._close_if_over():
            return
        if not self.caught_up and self._position < self._log.start:
            self._close_slow()
        elif self.caught_up and self._socket.writable and not self._snapshot_is_due:
            for action in self._protocol.tick(now_s):
                self._pass_time(action)

    def _close_if_over(self) -> bool:
        """Whether the client's time is over; then it is closed, in mid-answer too."""
        over = self._protocol.is_over(time.time())
        if over and self._shared.hook is not None:
            # It may well be good for longer: its cookies tell that, and it still has them.
            self.close_soon(CloseCode.SERVICE_RESTART, "who you are is asked again: come again")
        elif over:
            self.close_soon(CloseCode.UNAUTHENTICATED, "expired: come again with a new token")
        return over

    def _pass_time(self, action: Action) -> None:
        if isinstance(action, Beat):
            cursor = cursor_prefix(self._shared.epoch, self.shard) + str(self.position - 1)
            self._say(Heartbeat(session_id=self.session_id, cursor=cursor))
        elif isinstance(action, Close):
            self.close_soon(action.code, action.reason)

    def take_snapshot(self, frame: Snapshot, position: int) -> None:
        """Give the client its snapshot; what lies before `position` is in it."""
        if self.gone:
            return
        self._snapshot_is_due = False
        self._say(frame)
        # Go on where the snapshot ends, even if the socket joined later than that: the fold may
        # end before the join, and the records between would be in neither.
        self._go_live(position)

    def history_is_unavailable(self) -> None:
        """Say, once, that the snapshot comes later; live frames go on."""
        if not self._history_is_unavailable and not self.gone:
            self._history_is_unavailable = True
            self._say(HistoryUnavailable(session_id=self.session_id))

    def say_and_close_soon(self, frame: Frame, code: CloseCode, reason: str) -> None:
        """Say a last thing, then close."""
        self._say(frame)
        self.close_soon(code, reason)

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Close the socket without waiting for it; nothing more is sent to it."""
        self._joined, self._ended = False, True
        if self._socket.open:
            self._shared.counters.count_closed(code)
            self._shared.spawn(self._socket.end(code, reason))

    async def _join(self, cursor: str | None) -> None:
        """Fix the position before any frame of the client is read, and go live from there."""
        try:
            end = await self._shared.tail.ends.end(self.shard)
            recovered = cursor is not None and await self._recover(cursor, end)
            if self._log.start > end:  # that took long: begin where the log ends by now
                end = await self._shared.tail.ends.end(self.shard)
        except LogUnavailable:
            frame = refused(self.session_id, "unavailable", "the log does not answer")
            self.say_and_close_soon(frame, CloseCode.SERVICE_RESTART, "the log does not answer")
            return
        self._socket.on_writable = self._go_on
        if recovered:
            return
        self._say_connected(None if cursor is None else False)
        self._snapshot_is_due = True
        self.joined_at = end
        self._go_live(end)
        self._shared.snapshots.request(self)

    async def _recover(self, cursor: str, end: int) -> bool:
        """Go on after the cursor, if all that came after it can be had; say so only then."""
        shared = self._shared
        position = resume_position(cursor, epoch=shared.epoch, shard=self.shard, end=end)
        if position is None:
            shared.counters.not_recovered += 1
            return False
        try:
            found = await reach(shared.tail, self.shard, position)
        except (ScanTooLarge, RangeTrimmed):
            shared.counters.not_recovered += 1
            return False
        # The records are held from here on, so they may leave the tail while they are decoded. But
        # where they end must be in it afterwards: a resume that was promised is never taken back.
        end_of_range, records = found.end, found.records(self.session_id)
        frames = await self._resumed(records) if may_fit(records) else None
        if frames is None or self._log.start > end_of_range:
            shared.counters.not_recovered += 1
            return False
        shared.counters.resumed += 1
        self._say_connected(True)
        self._push([wire(frame) for frame in frames])
        self._go_live(end_of_range)
        return True

    async def _resumed(self, records: Sequence[Record]) -> list[bytes] | None:
        """Give the frames of a resume, made in slices of the loop, or None if they are too many."""
        prefix = cursor_prefix(self._shared.epoch, self.shard)
        frames: list[bytes] = []
        async for frame in in_slices(frames_of(records, self.session_id, prefix)):
            frames.append(frame)
        return frames if fits(frames) else None

    def _say_connected(self, recovered: bool | None) -> None:
        epoch, shards = self._shared.epoch, self._shared.shards
        frame = Connected(
            session_id=self.session_id, recovered=recovered, epoch=epoch, shards=shards
        )
        self._say(frame)

    def _go_live(self, position: int) -> None:
        self._position, self.caught_up = position, False
        self._joined = True
        self._go_on()

    async def _perform(self, action: Action) -> None:
        match action:
            case Send(frame):
                self._say(frame)
            case Submit(message):
                self._say(await self._shared.submitter.submit(message))
            case StopAnswer():
                await self._stop(action)
            case GiveEarlier(before, limit):
                await self._give_earlier(before, limit)
            case Renew(token):
                await self._renew(token)
            case Close(code, reason):
                self.close_soon(code, reason)
            case Beat():
                pass
        # A client that asks and never reads must not fill the buffer with answers.
        await self._socket.until_writable()

    async def _stop(self, stop: StopAnswer) -> None:
        """Publish the cancel, if there is something to stop: else the log would hold floods."""
        try:
            async with asyncio.timeout(None if stop.message_id is None else LOOK_UP_LIMIT_S):
                message_id = await self._to_stop(stop.message_id)
        except (FoldUnavailable, TimeoutError):
            # Whether a message that is named has ended can't be told now: the worker will know.
            message_id = stop.message_id
            if message_id is None:
                self._refuse("unavailable", "what runs can't be told now: name the message")
                return
        if message_id is None:
            text = "no answer runs in this session"
            if stop.message_id is not None:
                text = "no message of this id waits for an answer or is being answered"
            self._refuse("nothing_to_cancel", text, stop.message_id)
            return
        now_s = time.monotonic()
        if now_s - self._stopped_at_s.get(message_id, -STOPPED_AGAIN_S) < STOPPED_AGAIN_S:
            return  # it is in the log
        error = await self._shared.submitter.stop(stop.of(self.session_id, message_id))
        if error is not None:
            self._say(error)
            return
        self._stopped_at_s[message_id] = now_s
        while len(self._stopped_at_s) > STOPPED_MAX:
            del self._stopped_at_s[next(iter(self._stopped_at_s))]

    async def _give_earlier(self, before: str | None, limit: int) -> None:
        try:
            self._say(await self._shared.snapshots.earlier(self.session_id, before, limit))
        except FoldUnavailable:
            self._refuse("unavailable", "earlier messages can't be read now")

    async def _renew(self, token: str) -> None:
        assert self._shared.tokens is not None  # noqa: S101 - else there is nothing to renew
        try:
            rights = await self._shared.tokens.rights(token)
        except BadToken as error:
            self.close_soon(CloseCode.UNAUTHENTICATED, str(error))
        except CantTell:
            # The token before holds until its own end.
            self._refuse("unavailable", "the keys of tokens can't be read now: send it again")
        else:
            for action in self._protocol.renewed(rights):
                await self._perform(action)

    async def _to_stop(self, message_id: str | None) -> str | None:
        """Give the message whose answer a cancel stops, by a fold made for it; None: there is none.

        Without `message_id` it is the one that runs. One that the fold does not know may have been
        accepted a moment ago, and no worker has said anything of it yet.
        """
        nothing_ended = Place(self._shared.epoch + 1, 0)
        asked = () if message_id is None else (message_id,)
        fold = await self._shared.snapshots.fold(
            self.session_id, self.shard, nothing_ended, 0, asked
        )
        if message_id in fold.ended:
            return None
        if message_id is not None:
            message = fold.transcript.messages.get(message_id)
            if message is not None:
                return None if message.terminal else message_id
            accepted = await self._shared.submitter.has_accepted(self.session_id, message_id)
            return message_id if accepted else None
        running = fold.transcript.running()
        if running is None:
            # A message between two attempts counts as running for who wants to stop it.
            running = next((m for m in fold.transcript.open_messages() if m.released), None)
        return None if running is None else running.message_id

    def _refuse(self, code: GatewayErrorCode, message: str, message_id: str | None = None) -> None:
        self._say(refused(self.session_id, code, message, message_id))

    def _go_on(self) -> None:
        if self._joined and not self.caught_up:
            self._deliver(Feed(self._log, self.session_id, self._shared.epoch, self.shard))

    def _deliver(self, feed: Feed) -> None:
        while not self.caught_up and self._socket.writable:
            try:
                batch = feed.after(self._position)
            except PositionGone:
                self._close_slow()
                return
            if batch.frames:
                self._hand_over(batch.frames)
            self._position, self.caught_up = batch.position, batch.caught_up

    def _hand_over(self, frames: Sequence[bytes]) -> None:
        """Push frames of the session."""
        self._push(frames)
        self._protocol.delivered()

    def _push(self, frames: Sequence[bytes]) -> None:
        if not frames:
            return
        pushed = frames[0] if len(frames) == 1 else b"".join(frames)
        self._socket.push(pushed)
        counters = self._shared.counters
        counters.frames_sent += len(frames)
        counters.bytes_sent += len(pushed)
        self._protocol.spoke(time.monotonic())

    def _close_slow(self) -> None:
        self.close_soon(CloseCode.SLOW_CLIENT, "too slow: connect again with the last cursor")

    def _say(self, frame: Frame) -> None:
        if isinstance(frame, Refused):
            self._shared.counters.count_refused(frame.code)
        self._push([wire(encode(frame))])

    @property
    def _log(self) -> ShardLog:
        return self._shared.tail.shard_logs[self.shard]


def utc_now() -> str:
    """Give the wall clock's time as events carry it."""
    return iso(datetime.fromtimestamp(time.time(), UTC))


def _new_id() -> str:
    return str(ULID())
