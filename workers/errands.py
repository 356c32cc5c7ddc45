"""Actions that wait for something outside: each runs as a task and reports to the intake.

Nothing here decides: an errand is done, insistently where the action says so, and its outcome goes
into the intake.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog
from aiokafka.errors import OffsetOutOfRangeError

from schemas.events import encode
from schemas.log.dead_letter import dead_letter, write_dead_letter
from schemas.log.gap import GapTrimmed
from schemas.log.log_reader import LogReader, LogUnavailable
from schemas.log.producer import SendFailed
from schemas.topics import HEADERS, SESSION_LOG, USER_MESSAGES
from workers import metrics
from workers.attempt.clock import now_text
from workers.attempt.events_out import event_of
from workers.attempt.needs import Sender
from workers.faust_group import UserRecord
from workers.history.prompt import KnownTurns
from workers.intake import actions
from workers.intake.ack_window import Gap, RecordsSkipped
from workers.intake.actions import MessageKey
from workers.intake.intake import Intake

log = structlog.get_logger(__name__)

T = TypeVar("T")

ASK_AGAIN_S = 0.5


class Sessions(Protocol):
    """History and what is known of old messages. Nothing here raises; each waits as it must."""

    async def turns(self, shard: int, session_id: str) -> KnownTurns:
        """What was said before in the session."""

    async def store(self, action: actions.Store) -> bool:
        """Merge a message's turns, however long it takes; says whether Redis has them."""

    def forgo(self, key: MessageKey) -> None:
        """The message's turns will not be stored: rebuild its session's history later."""

    def forgetting(self, session_id: str, offset: int) -> None:
        """The session was forgotten there: from now on its history is not believed.

        The session's next answer may begin before Redis has been asked to `forget` it.
        """

    async def forget(self, session_id: str) -> None:
        """Have its history removed, now or as soon as Redis allows it."""

    async def note_end(self, ended: actions.NoteEnd) -> None:
        """Note that a user's message has ended; it may be given up."""

    async def over(self, action: actions.LookUp) -> tuple[bool, bool]:
        """Whether a message that the fold doesn't know has ended, and whether that is sure."""


class Errands:
    """Does what takes its time. `done` is called when the intake has heard of an outcome."""

    def __init__(
        self,
        intake: Intake,
        *,
        sender: Sender,
        dead_letters: Sender,
        sessions: Sessions,
        reader: LogReader,
        first_record_in: Callable[[int, Gap], Awaitable[int | None]],
        done: Callable[[], None],
    ) -> None:
        self._intake = intake
        self._sender = sender
        self._dead_letters = dead_letters
        self._sessions = sessions
        self._reader = reader
        self._first_record_in = first_record_in
        self._done = done
        self._hears_the_clock = False

    async def write(self, action: actions.Write) -> None:
        """Write an event of the shard's owner. Reported: written."""
        event = event_of(action.event, action.message, now_text(), action.prompt_offset)
        headers = list(HEADERS)
        if action.traceparent is not None:
            headers.append(("traceparent", action.traceparent))
        metrics.WRITES.labels(type(action.event).__name__.lower()).inc()
        offset = None
        try:
            offset = await self._sender.send(
                SESSION_LOG, action.shard, event.session_id.encode(), encode(event), headers
            )
        except SendFailed as error:
            log.warning("send failed", session=event.session_id, error=str(error))
        self._intake.written(action.token, action.event, offset, time.monotonic())
        self._done()

    async def dead_letter(self, action: actions.DeadLetter, record: UserRecord | None) -> None:
        """Put a record with the dead letters, however long it takes. Reported: dead_lettered."""
        if record is None:
            return  # revoked meanwhile: it comes again
        log.error("dead letter", shard=action.shard, offset=action.offset, reason=action.reason)
        letter = dead_letter(
            USER_MESSAGES,
            record.shard,
            record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers.items(),
            reason=action.reason,
            tries=action.tries,
        )
        while True:
            try:
                await write_dead_letter(self._dead_letters, letter)
                break
            except SendFailed as error:
                log.warning("dead letter not written, again", error=str(error))
                await asyncio.sleep(ASK_AGAIN_S)
        metrics.DEAD_LETTERS.inc()
        self._intake.dead_lettered(action.shard, action.offset, time.monotonic())
        self._done()

    async def look_into_gap(self, action: actions.LookIntoGap) -> None:
        """Ask the log whether records were skipped. Reported: gap_empty.

        Raises RecordsSkipped: the library has lost accepted messages on the way; the process that
        starts next is given them again.
        """
        shard, gap = action.shard, action.gap
        try:
            record = await _until_available(lambda: self._first_record_in(shard, gap))
        except GapTrimmed as error:
            log.error("records were trimmed before they were delivered", gap=str(error))
            record = None
        if record is not None and shard in self._intake.owned:
            raise RecordsSkipped(f"shard {shard}: offset {record} was not delivered")
        metrics.GAPS.inc()
        self._intake.gap_empty(shard, gap)
        self._done()

    async def look_up(self, action: actions.LookUp) -> None:
        """Ask whether a message is over that the fold doesn't know. Reported: looked_up."""
        over, sure = await self._sessions.over(action)
        self._intake.looked_up(action.token, over=over, sure=sure, now_s=time.monotonic())
        self._done()

    async def store(self, action: actions.Store) -> None:
        """Merge a message's turns into its session's history. Reported: stored."""
        remembered = await self._sessions.store(action)
        self._intake.stored(action.token, time.monotonic(), remembered=remembered)
        self._done()

    async def follow(self, action: actions.Follow) -> None:
        """Begin to read a shard's session log back. Reported: following."""
        position = await _until_available(
            lambda: self._reader.offset_at(action.shard, action.from_ms)
        )
        # No await between the two: no record comes before the intake knows of the position.
        self._reader.follow(action.shard, position)
        self._intake.following(action.shard, position, time.monotonic())
        self._done()
        await self._hear_the_clock()

    async def _hear_the_clock(self) -> None:
        """Ask the newest records for the broker's time: all in the shards taken over may be old.

        Who has just started knows nothing of it else, and would count the silence of answers whose
        worker has died from now on. Once for the shards that are taken over together.
        """
        if self._hears_the_clock:
            return
        self._hears_the_clock = True
        try:
            newest_ms = await self._reader.newest_ms()
        except (LogUnavailable, OffsetOutOfRangeError) as error:
            log.info("the broker's time was not heard", error=str(error))
        else:
            if newest_ms is not None:
                self._intake.clock.heard(newest_ms, time.monotonic())
        finally:
            self._hears_the_clock = False

    async def ask_end(self, action: actions.AskEnd) -> None:
        """Ask where a shard's session log ends. Reported: end_known."""
        end = await _until_available(lambda: self._reader.end_offset(action.shard))
        self._intake.end_known(action.shard, action.asked, end, time.monotonic())
        self._done()


async def _until_available(ask: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await ask()
        except LogUnavailable as error:
            log.warning("log not available, again", error=str(error))
            await asyncio.sleep(ASK_AGAIN_S)
