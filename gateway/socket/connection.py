"""Runs the protocol on one socket: a position in the log on one side, a client on the other.

What comes from the log is pushed into the socket by whoever reads the log, while the socket takes
it; what the client says is read and performed one frame after another, at most one a turn of the
loop. So a connection costs one task, and it is idle when nothing happens.
"""

import json
import time
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed

from gateway.feed.followers import Feed, cursor_prefix
from gateway.identity.rights import EVERYTHING, Rights
from gateway.limits.rules import Who
from gateway.socket.address import Address
from gateway.socket.pace import Pace
from gateway.socket.performing import Performer
from gateway.socket.protocol import Action, Beat, Close, Protocol, refused
from gateway.socket.resuming import TooMuchRead, resume
from gateway.socket.shared import Shared
from gateway.socket.stamps import heartbeat_s, new_id, utc_now
from gateway.socket.websocket import WebSocket, wire
from schemas.close_codes import CloseCode
from schemas.frames import (
    Connected,
    Frame,
    Heartbeat,
    HistoryUnavailable,
    Refused,
    Snapshot,
    encode,
)
from schemas.log.log_reader import LogUnavailable
from schemas.shard_log import PositionGone, ShardLog


class Connection:
    """One client. `position` is the offset of the next record that it needs.

    `caught_up`: it has been given all of the session that the shard log holds, so its position is
    the log's end, wherever that moves, until the next record of the session.
    """

    __slots__ = (
        "_ended",
        "_history_is_unavailable",
        "_joined",
        "_pace",
        "_position",
        "_protocol",
        "_shared",
        "_snapshot_is_due",
        "_socket",
        "_who",
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
        who: Who | None = None,
    ) -> None:
        self.session_id = address.session_id
        self.shard = shard
        self.history = address.history
        self.joined_at = self._position = 0
        self.caught_up = False
        self._joined = self._ended = False
        self._snapshot_is_due = self._history_is_unavailable = False
        self._socket = socket
        self._shared = shared
        now_s = time.monotonic()
        self._who = who or Who(address.session_id)
        self._pace = Pace(shared.frame_buckets.of(self._who.user, now_s), shared.counters)
        self._protocol = Protocol(
            self.session_id,
            now_s,
            new_id,
            shared.models,
            shared.idle_limit_s,
            heartbeat_s=heartbeat_s(),
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
        # No attribute: it refers back to the connection, and such a circle is garbage in the end.
        performer = Performer(
            self, self._socket, self._protocol, self.shard, self._shared, self._who
        )
        try:
            if not await self._pace.join(lambda: self._socket.open):
                return
            await self._join(cursor)
            async for frame in self._socket:
                if not self._is_heard():
                    break
                await self._take(frame, performer)
            if self._ended:  # the library closes what returns with 1000: our code goes out first
                await self._socket.wait_closed()
        except ConnectionClosed:
            return
        finally:
            self._socket.on_writable = None
            self._shared.followers.remove(self)
            self._shared.snapshots.withdraw(self)

    def _is_heard(self) -> bool:
        """Say whether what the client said is performed.

        What lies in the buffers of a socket that has closed is not: nobody waits for it. Except a
        few frames of a client that said goodbye after them, in order: it has said what it wanted.
        """
        left_in_order = self._socket.left_in_order and self._pace.has_room
        return not self._ended and (self._socket.open or left_in_order)

    async def _take(self, frame: str | bytes, performer: Performer) -> None:
        """Perform a frame, and wait as long as its client's pace wants it."""
        self._shared.counters.frames_received += 1
        if self._close_if_over():
            return
        for action in (actions := self._protocol.receive(frame, utc_now())):
            await performer.perform(action)
        await self._pace.rest(len(frame), actions)

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
        """Let time pass: a heartbeat, and the end of who has not kept up, or does not go."""
        self._socket.cut_if_late()
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
            prefix = cursor_prefix(self._shared.epoch, self.shard)
            self.say(Heartbeat(session_id=self.session_id, cursor=f"{prefix}{self.position - 1}"))
        elif isinstance(action, Close):
            self.close_soon(action.code, action.reason)

    def take_snapshot(self, frame: Snapshot, position: int) -> None:
        """Give the client its snapshot; what lies before `position` is in it."""
        if self.gone:
            return
        self._snapshot_is_due = False
        self.say(frame)
        # Go on where the snapshot ends, even if the socket joined later than that: the fold may
        # end before the join, and the records between would be in neither.
        self._go_live(position)

    def history_is_unavailable(self) -> None:
        """Say, once, that the snapshot comes later; live frames go on."""
        if not self._history_is_unavailable and not self.gone:
            self._history_is_unavailable = True
            self.say(HistoryUnavailable(session_id=self.session_id))

    def say_and_close_soon(self, frame: Frame, code: CloseCode, reason: str) -> None:
        """Say a last thing, then close."""
        self.say(frame)
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
            resumed = await resume(self._shared, self._who, self.shard, cursor, end)
            if resumed is None and self._log.start > end:
                # That took long: begin where the log ends by now.
                end = await self._shared.tail.ends.end(self.shard)
        except TooMuchRead as error:
            self.close_soon(CloseCode.TOO_MANY, json.dumps(error.over.reason()))
            return
        except LogUnavailable:
            frame = refused(self.session_id, "unavailable", "the log does not answer")
            self.say_and_close_soon(frame, CloseCode.SERVICE_RESTART, "the log does not answer")
            return
        self._socket.on_writable = self._go_on
        if resumed is not None:
            self._say_connected(True)
            self._push([wire(frame) for frame in resumed.frames])
            self._go_live(resumed.end)
            return
        self._say_connected(None if cursor is None else False)
        self._snapshot_is_due = True
        self.joined_at = end
        self._go_live(end)
        self._shared.snapshots.request(self)

    def _say_connected(self, recovered: bool | None) -> None:
        told, of = self.session_id, self._shared
        self.say(Connected(session_id=told, recovered=recovered, epoch=of.epoch, shards=of.shards))

    def _go_live(self, position: int) -> None:
        self._position, self.caught_up, self._joined = position, False, True
        self._go_on()

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

    def say(self, frame: Frame) -> None:
        """Say this to the client."""
        if isinstance(frame, Refused):
            self._shared.counters.count_refused(frame.code)
        self._push([wire(encode(frame))])

    @property
    def _log(self) -> ShardLog:
        return self._shared.tail.shard_logs[self.shard]
