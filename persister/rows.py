"""The fold as rows: events in log order -> what is to be written.

`chunk_sequence` is given here, in log order, to every chunk that counts, and is never given twice
in a session, also when a new attempt removes the chunks of the one before. It depends on nothing
but the log, so a rebuild gives the same numbers whatever the batches were.

What is not in memory must be looked up first (`unknown`, then `restore`): a late start of a
finished answer would otherwise look like a new one and overwrite it.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from persister.answer_row import Answer, answer_of
from persister.changes import Changes, ChunkRange, ChunkRow, ForgottenRow, Key, Reasoning
from persister.said import Said
from schemas.conversation import forgotten_of
from schemas.events import (
    Cancel,
    Chunk,
    Event,
    ReasoningChunk,
    SessionEvent,
    SessionForgotten,
    UserEvent,
    UserMessage,
)
from schemas.transcript import Outcome, Place, Transcript

_SAID = (UserMessage, Cancel)
_OF_NO_ANSWER = {UserMessage, Cancel, SessionForgotten}


@dataclass(slots=True)
class _Session:
    next_chunk_sequence: int
    transcript: Transcript = field(
        default_factory=lambda: Transcript(keep_text=False, keep_reasoning=False)
    )
    answers: dict[str, Answer] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    counted: int = 0
    """So many of them are in the fold's count."""

    def knows(self, message_id: str) -> bool:
        """Whether it is known if there is an answer of this message."""
        return message_id in self.answers or message_id in self.absent


class RowFold:
    """Folds the events of the shards at hand; remembers at most `max_answers` between batches.

    That an answer is *not* stored is remembered too, and counted as one: of a message of which only
    events come that count for nothing, Postgres would otherwise be asked for each batch.
    """

    def __init__(self, epoch: int, max_answers: int) -> None:
        self._epoch = epoch
        self._max_answers = max_answers
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._remembered = 0

    def forget(self) -> None:
        """Throw away all that is known: the rows have moved without us, or may have."""
        self._sessions.clear()
        self._remembered = 0

    def unknown(self, events: Collection[Event]) -> tuple[set[Key], set[str]]:
        """Say which messages and which sessions must be looked up before `fold` of these events."""
        of_answers = {
            (event.session_id, event.message_id)
            for event in events
            if type(event) not in _OF_NO_ANSWER
        }
        keys = {key for key in of_answers if not self._knows(*key)}
        return keys, {event.session_id for event in events} - self._sessions.keys()

    def _knows(self, session_id: str, message_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and session.knows(message_id)

    def restore(
        self,
        keys: Iterable[Key],
        rows: Iterable[Mapping[str, Any]],
        highest: Mapping[str, int],
        forgotten: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Take the stored rows of `answers` of what was unknown.

        `highest` has the greatest next_chunk_sequence of each unknown session that has answers,
        `forgotten` the rows of forgotten_sessions of unknown sessions.
        """
        for session_id, message_id in keys:
            session = self._sessions.get(session_id)
            if session is None:
                session = self._sessions[session_id] = _Session(highest.get(session_id, 1))
            session.absent.add(message_id)
        for row in forgotten:
            session_id = row["session_id"]
            session = self._sessions.setdefault(session_id, _Session(highest.get(session_id, 1)))
            session.transcript.forgotten = forgotten_of(row)
        for row in rows:
            answer = answer_of(row)
            session = self._sessions[answer.session_id]
            session.absent.discard(answer.message.message_id)
            session.answers[answer.message.message_id] = answer
            session.transcript.messages[answer.message.message_id] = answer.message

    def fold(self, events: Iterable[tuple[int, int, UserEvent | SessionEvent]]) -> Changes:
        """Take (shard, offset, event) in the order of each shard's log and give what changes."""
        work = _Work()
        touched: dict[str, _Session] = {}
        for shard, offset, event in events:
            place = Place(self._epoch, offset)
            session = self._sessions.get(event.session_id)
            if isinstance(event, _SAID):
                if session is not None:
                    touched[event.session_id] = session
                    if session.transcript.forgets(place):
                        continue
                work.said.take(shard, place, event)
                continue
            if session is None:  # of which only this event is known: that it is forgotten
                session = self._sessions[event.session_id] = _Session(1)
            touched[event.session_id] = session
            if isinstance(event, SessionForgotten):
                work.forget(session, shard, place, event)
            else:
                work.take_session_event(session, shard, place, event)
        changes = work.changes()
        self._count(touched)
        while self._remembered > self._max_answers:
            _, session = self._sessions.popitem(last=False)
            self._remembered -= session.counted
        return changes

    def _count(self, touched: Mapping[str, _Session]) -> None:
        """Keep the count of what is remembered: a sum over all sessions would be one each batch."""
        for session_id, session in touched.items():
            self._sessions.move_to_end(session_id)
            remembered = len(session.answers) + len(session.absent)
            remembered += session.transcript.forgotten is not None
            self._remembered += remembered - session.counted
            session.counted = remembered


@dataclass(slots=True)
class _Draft:
    """What one batch writes of an answer; `chunks` says where its rows are among all of them."""

    answer: Answer
    chunks: list[int] = field(default_factory=list)


class _Work:
    """One batch under way."""

    def __init__(self) -> None:
        self.said = Said()
        self._chunks: list[ChunkRow | None] = []
        self._drafts: dict[Key, _Draft] = {}
        self._replaced: dict[Key, ChunkRange] = {}
        self._completed: list[tuple[str, int]] = []
        self._anew: dict[Key, None] = {}
        self._reasonings: dict[Key, list[str]] = {}
        self._forgotten: dict[str, ForgottenRow] = {}
        self._outcomes: Counter[Outcome] = Counter()

    def forget(self, session: _Session, shard: int, place: Place, event: SessionForgotten) -> None:
        """Take out all that this batch would write of the session, and have its rows removed."""
        outcome = session.transcript.apply(event, place)
        self._outcomes[outcome] += 1
        forgotten = session.transcript.forgotten
        if outcome is not Outcome.FORGOTTEN or forgotten is None:
            return
        session.answers.clear()
        session.next_chunk_sequence = 1
        session_id, said_before = event.session_id, forgotten.said_before
        for key in _of(session_id, self._drafts):
            self._remove(self._drafts.pop(key))
        self._completed = [each for each in self._completed if each[0] != session_id]
        for held in (self._replaced, self._anew, self._reasonings):
            for key in _of(session_id, held):
                del held[key]
        self.said.forget(session_id, said_before)
        at = place.epoch, place.offset, said_before.epoch, said_before.offset
        self._forgotten[session_id] = ForgottenRow(session_id, shard, *at, event.created_at)

    def take_session_event(
        self, session: _Session, shard: int, place: Place, event: SessionEvent
    ) -> None:
        answer = session.answers.get(event.message_id)
        numbered = answer is not None and answer.message.last_sequence > 0
        outcome = session.transcript.apply(event, place)
        if answer is None:
            if not outcome.counts:
                self._outcomes[outcome] += 1
                return
            answer = self._begin(session, shard, event)
        key = (event.session_id, event.message_id)
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = _Draft(answer)
        answer.named_at = place
        if outcome is Outcome.CHUNK:
            assert isinstance(event, Chunk)  # noqa: S101 - the fold says so
            if not numbered:
                self._replace(key, draft)  # a first chunk repeats the text that it continues
            answer.shard = shard
            self._chunk(session, draft, event)
            return
        self._outcomes[outcome] += 1
        if outcome.counts:
            answer.shard = shard
        if outcome is Outcome.REASONING:
            assert isinstance(event, ReasoningChunk)  # noqa: S101 - the fold says so
            self._reasonings.setdefault(key, []).append(event.content)
        elif outcome is Outcome.STARTED and answer.message.continues is None:
            self._replace(key, draft)
            self._think_anew(key, answer)
        elif outcome is Outcome.ENDED:
            self._end(draft, event.created_at)

    def changes(self) -> Changes:
        # Each chunk that counted has a place here, also if its row was taken out again.
        self._outcomes[Outcome.CHUNK] += len(self._chunks)
        return Changes(
            forgotten=list(self._forgotten.values()),
            replaced=list(self._replaced.values()),
            chunks=[row for row in self._chunks if row is not None],
            completed=self._completed,
            answers=[draft.answer for draft in self._drafts.values()],
            reasonings=[
                Reasoning(*key, key in self._anew, "".join(self._reasonings.get(key, ())))
                for key in dict.fromkeys((*self._anew, *self._reasonings))
            ],
            cancels=self.said.cancels(),
            prompts=self.said.prompts(),
            outcomes=self._outcomes,
        )

    def _begin(self, session: _Session, shard: int, event: SessionEvent) -> Answer:
        message = session.transcript.messages[event.message_id]
        answer = Answer(event.session_id, message, shard, session.next_chunk_sequence)
        session.answers[event.message_id] = answer
        session.absent.discard(event.message_id)
        self.said.told_by(shard, event)
        return answer

    def _chunk(self, session: _Session, draft: _Draft, event: Chunk) -> None:
        number = session.next_chunk_sequence
        session.next_chunk_sequence = draft.answer.next_chunk_sequence = number + 1
        if draft.answer.first_chunk_sequence is None:
            draft.answer.first_chunk_sequence = number
        draft.chunks.append(len(self._chunks))
        self._chunks.append((event, number, False))

    def _remove(self, draft: _Draft) -> None:
        """Take out the chunks that this batch would write of the answer."""
        for index in draft.chunks:
            self._chunks[index] = None
        draft.chunks.clear()

    def _replace(self, key: Key, draft: _Draft) -> None:
        """Take out the chunks of the attempt before; nothing if there are none."""
        answer = draft.answer
        first = answer.first_chunk_sequence
        if first is None:
            return
        self._remove(draft)
        # Only the first range of a batch can be stored already: later ones begin in this batch.
        self._replaced.setdefault(key, ChunkRange(*key, first, answer.next_chunk_sequence))
        answer.first_chunk_sequence = None

    def _think_anew(self, key: Key, answer: Answer) -> None:
        """Take out the reasoning of the attempts before; before the first start there is none."""
        self._reasonings.pop(key, None)
        if answer.message.starts > 1:
            self._anew[key] = None

    def _end(self, draft: _Draft, created_at: str) -> None:
        answer = draft.answer
        answer.ended_at = created_at
        if answer.message.state != "complete" or answer.first_chunk_sequence is None:
            return
        if draft.chunks:
            row = self._chunks[draft.chunks[-1]]
            assert row is not None  # noqa: S101 - what is taken out is no more in the draft
            chunk, number, _ = row
            self._chunks[draft.chunks[-1]] = chunk, number, True
        else:
            self._completed.append((answer.session_id, answer.next_chunk_sequence - 1))


def _of(session_id: str, keys: Iterable[Key]) -> list[Key]:
    return [key for key in keys if key[0] == session_id]
