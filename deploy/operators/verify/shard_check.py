"""One shard's records, in log order, held to the rules that need nothing but the log.

The numbering of the chunks, and which cancel of a message counts, are worked out here anew, not
taken from the persister, whose mistakes it is to find.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zlib import crc32

from deploy.operators.verify.faults import Fault, Kind, Report
from deploy.operators.verify.known import Answered, Asked, Chunks, Session, Text, sum_of
from persister.reading import BadRecord, LogRecord, read
from schemas.cursor import Cursor
from schemas.events import (
    Cancel,
    Chunk,
    ReasoningChunk,
    SessionEvent,
    SessionForgotten,
    Status,
    UserMessage,
)
from schemas.topics import CANARY_SESSION, SESSION_LOG, USER_MESSAGES
from schemas.transcript import Outcome, Place


class ShardCheck:
    """Takes the shard's user_messages first, then its session log.

    `whole` says that both topics are read from their very first records. If they aren't, what began
    before is not judged: only messages that were accepted after `since_ms`, the time of the first
    record that is read of the session log, are known from their beginning.
    """

    def __init__(
        self, report: Report, *, epoch: int, shard: int, shards: int, whole: bool, since_ms: int
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self.whole = whole
        self._report = report
        self._epoch = epoch
        self._shard = shard
        self._shards = shards
        self._since_ms = since_ms

    def take_user_messages(self, records: Iterable[tuple[LogRecord, int]]) -> None:
        """Take records of user_messages with their log-append times in milliseconds."""
        for record, logged_ms in records:
            try:
                event = read(USER_MESSAGES, self._shard, self._shards, record)
            except BadRecord:
                self._report.counted["records that can't be stored"] += 1
                continue
            if isinstance(event, Cancel):
                self._report.counted["cancels"] += 1
                self._cancel(event, record.offset)
            elif isinstance(event, UserMessage):
                session = self._session(event.session_id)
                if session.forgets(self._epoch, record.offset):
                    continue  # said before the session was forgotten, and read after
                content, user = crc32(event.content.encode()), sum_of(event.user)
                asked = Asked(record.offset, logged_ms, content, user)
                first = session.asked.setdefault(event.message_id, asked)
                if first is not asked:
                    self._report.counted["messages sent again"] += 1
                    first.again.append(asked)

    def take_session_log(self, records: Iterable[tuple[LogRecord, int]]) -> None:
        """Take records of the session log with their log-append times in milliseconds."""
        for record, logged_ms in records:
            try:
                event = read(SESSION_LOG, self._shard, self._shards, record)
            except BadRecord:
                self._report.counted["records that can't be stored"] += 1
                continue
            if event is None:
                self._report.counted["events of a later version"] += 1
            elif event.session_id.startswith(CANARY_SESSION):
                self._report.counted["events of the gateways' canaries"] += 1
            elif isinstance(event, SessionForgotten):
                self._forget(event, record.offset)
            elif not isinstance(event, UserMessage | Cancel):
                self._take(event, record.offset, logged_ms)

    def end(self, *, now_ms: int, patience_ms: int, committed: int | None) -> None:
        """Judge what has not ended; `committed` is the workers' offset on user_messages."""
        for session_id, session in self.sessions.items():
            for message_id, asked in session.asked.items():
                answered = session.answered.get(message_id)
                if answered is not None and answered.message.terminal:
                    continue
                if not self._knows_since(asked.logged_ms):
                    continue  # its end may lie before what is read
                if now_ms - asked.logged_ms > patience_ms:
                    self._fault(
                        Kind.unended, asked.offset, session_id, message_id, _state(answered)
                    )
                if committed is not None and asked.offset < committed:
                    detail = (
                        f"committed {committed}, its record has {asked.offset}; {_state(answered)}"
                    )
                    self._fault(Kind.passed, asked.offset, session_id, message_id, detail)
            for message_id, answered in session.answered.items():
                # An answer must end also if its user_message lies before what was read.
                if answered.message.terminal or message_id in session.asked or not answered.whole:
                    continue
                if now_ms - answered.logged_ms > patience_ms:
                    self._fault(
                        Kind.unended, answered.offset, session_id, message_id, _state(answered)
                    )

    def _cancel(self, event: Cancel, offset: int) -> None:
        """Note who asks first; of a message that is not known, or was forgotten, nobody does."""
        session = self.sessions.get(event.session_id)
        asked = session.asked.get(event.message_id) if session is not None else None
        if asked is not None:
            at = datetime.fromisoformat(event.created_at).timestamp()
            asked.cancel(offset, sum_of(event.user), at)

    def _forget(self, event: SessionForgotten, offset: int) -> None:
        """From here on nothing of the session is to be found that lies before."""
        session = self._session(event.session_id)
        if session.transcript.apply(event, Place(self._epoch, offset)) is not Outcome.FORGOTTEN:
            return
        self._report.counted["sessions forgotten"] += 1
        # Said while the event was on its way, and over before it came: its prompt may stand.
        ended = {each for each, known in session.answered.items() if known.message.terminal}
        for message_id, asked in list(session.asked.items()):
            first = asked.first_of(lambda at: not session.forgets(self._epoch, at))
            if first is not None and message_id not in ended:
                session.asked[message_id] = first
                continue
            del session.asked[message_id]
            if first is not None:
                session.spared.add(message_id)
        session.answered.clear()
        session.next_number = 1

    def _take(self, event: SessionEvent, offset: int, logged_ms: int) -> None:
        session = self._session(event.session_id)
        answered = session.answered.get(event.message_id)
        first = answered is None or answered.message.last_sequence == 0
        outcome = session.transcript.apply(event, Place(self._epoch, offset))
        if answered is None and outcome.counts:
            message = session.transcript.messages[event.message_id]
            whole = self._began_here(event)
            answered = session.answered[event.message_id] = Answered(
                message, offset, logged_ms, whole
            )
        if answered is None and outcome is Outcome.LATE:
            self._report.counted["events of what was forgotten"] += 1
            return
        if not outcome.counts:
            self._report.counted[_ALLOWED.get(outcome, outcome.name.lower())] += 1
        if answered is None:
            self._unknown(event, offset)
            return
        # The prompt's text is of no use here, and all of them together are large.
        answered.message.prompt = None
        if isinstance(event, Status) and event.state == "generating" and event.attempt:
            answered.attempts = (*answered.attempts, event.attempt)
        self._hole(answered, event, offset)
        if outcome is Outcome.STARTED:
            if answered.message.continues is None:
                answered.chunks, answered.text, answered.holes = Chunks(), Text(), 0
                answered.reasoning = Text()
        elif isinstance(event, Chunk):
            if outcome is Outcome.CHUNK and first:
                self._first_chunk(answered, event, offset)
            if outcome is Outcome.CHUNK:
                answered.text.add(event.content)
                answered.chunks.add(session.next_number, event.sequence, event.content)
                session.next_number += 1
            else:
                self._unstarted(answered, event, offset)
        elif isinstance(event, ReasoningChunk):
            if outcome is Outcome.REASONING:
                answered.reasoning.add(event.content)
            else:
                self._unstarted(answered, event, offset)

    def _first_chunk(self, answered: Answered, event: Chunk, offset: int) -> None:
        """Hold the first chunk of an attempt that continues another to the text so far."""
        said = Text()
        said.add(event.content)
        goes_on = answered.message.continues is not None and answered.text.size > 0
        if goes_on and event.sequence == 1 and answered.whole and said != answered.text:
            detail = f"{said.size} bytes after {answered.text.size}, attempt {event.attempt}"
            self._fault(Kind.text_broken, offset, event.session_id, event.message_id, detail)
        answered.chunks, answered.text = Chunks(), Text()

    def _unstarted(self, answered: Answered, event: Chunk | ReasoningChunk, offset: int) -> None:
        """A chunk that does not count is of an attempt that was, at least."""
        if answered.whole and event.attempt not in answered.attempts:
            detail = f"attempt {event.attempt}"
            self._fault(Kind.chunk_before_start, offset, event.session_id, event.message_id, detail)

    def _unknown(self, event: SessionEvent, offset: int) -> None:
        """Nothing is known of the message: fine for the rest of what began before the reading."""
        if isinstance(event, Chunk | ReasoningChunk) and self._began_here(event):
            detail = f"attempt {event.attempt}"
            self._fault(Kind.chunk_before_start, offset, event.session_id, event.message_id, detail)

    def _hole(self, answered: Answered, event: SessionEvent, offset: int) -> None:
        """The fold says once that an answer is damaged; here, once an attempt."""
        if answered.message.damaged and not answered.holes and answered.whole:
            answered.holes = 1
            sequence = getattr(event, "sequence", None) or getattr(event, "last_sequence", 0)
            detail = f"up to sequence {sequence} of attempt {answered.message.attempt}"
            self._fault(Kind.hole, offset, event.session_id, event.message_id, detail)

    def _began_here(self, event: SessionEvent) -> bool:
        asked = self._session(event.session_id).asked.get(event.message_id)
        return self.whole or (asked is not None and self._knows_since(asked.logged_ms))

    def _knows_since(self, logged_ms: int) -> bool:
        return self.whole or logged_ms > self._since_ms

    def _session(self, session_id: str) -> Session:
        session = self.sessions.get(session_id)
        if session is None:
            session = self.sessions[session_id] = Session()
        return session

    def _fault(
        self, kind: Kind, offset: int, session_id: str, message_id: str, detail: str
    ) -> None:
        cursor = Cursor(self._epoch, self._shard, offset)
        self._report.add(Fault(kind, cursor, session_id, message_id, detail))


_ALLOWED = {
    Outcome.REPEATED: "repeats",
    Outcome.FENCED: "events of fenced attempts",
    Outcome.LATE: "events after a terminal",
    Outcome.UNKNOWN: "events of unknown messages",
}


def _state(answered: Answered | None) -> str:
    return "no event" if answered is None else f"{answered.message.state}"
