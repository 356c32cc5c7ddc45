"""The fold of one shard's session log: what its owner believes, instead of believing itself.

Beside the transcript of each session it knows when a message was last heard of (on this process's
clock), and up to which moment the shard was read to its end: "nothing has come" means something
only after everything that had come was read. A process that slept has old news in its socket.

What is no longer needed is forgotten by log time; a bound in memory follows from that.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.events import BEGIN_ANEW, SessionEvent, Status
from schemas.transcript import Forgotten, Message, Outcome, Place, Transcript
from workers.intake.actions import MessageKey


@dataclass(frozen=True, slots=True)
class AtHand:
    """A session as this process has read it, from offset `start` of its shard to `position`.

    Of messages whose last event lies before `forgotten_to` some may be missing.
    """

    start: int
    position: int
    forgotten_to: int
    messages: Sequence[Message]
    forgotten: Forgotten | None = None

    def whole_from(self, offset: int) -> bool:
        """Whether it has every message that an event at this offset or behind it names."""
        return self.start <= offset and self.forgotten_to <= offset

    def goes_on_from(self, offset: int) -> bool:
        """Whether what was known of the session up to that offset still holds, but for `messages`.

        It does not where the fold has a hole, or the session was forgotten since.
        """
        if self.forgotten is not None and self.forgotten.at.offset >= offset:
            return False
        return self.whole_from(offset) and offset <= self.position


@dataclass(slots=True)
class _Heard:
    at: float
    timestamp_ms: int
    mute: bool
    mute_deaths: int = 0  # of earlier attempts, each ended by the start of the next
    repeats: bool = False  # the next chunk is the text so far: no new word
    repeated_bytes: tuple[int, ...] = ()  # the size of the text, each time it was gone on with
    told_anew: bool = False  # the last attempt was released since its model can't go on
    stored: bool = False


@dataclass(slots=True)
class _Session:
    # Reasoning is in no prompt: nobody here needs it.
    transcript: Transcript = field(default_factory=lambda: Transcript(keep_reasoning=False))
    heard: dict[str, _Heard] = field(default_factory=dict)


class ShardFold:
    """What is true in one shard, as far as it was read (`position`)."""

    def __init__(self, position: int, epoch: int) -> None:
        self.start = self.position = position
        self.forgotten_to = position
        self.read_to = float("-inf")
        self.asked = 0  # how often the end was asked for
        self.answered = 0  # which of these was the last to be reached
        self.asking: float | None = None
        self._asked_end: int | None = None
        self._epoch = epoch
        self._sessions: dict[str, _Session] = {}
        self._by_age: OrderedDict[MessageKey, None] = OrderedDict()  # last heard of first
        self._forgotten: OrderedDict[str, int] = OrderedDict()  # sessions, with log times

    # -- reading

    def apply(self, event: SessionEvent, offset: int, timestamp_ms: int, now: float) -> Outcome:
        """Take the next event of the shard."""
        session = self._sessions.get(event.session_id) or _Session()
        outcome = session.transcript.apply(event, Place(self._epoch, offset))
        if outcome is Outcome.FORGOTTEN:
            self._forget(event.session_id, session, timestamp_ms)
        if not outcome.counts:
            return outcome
        self._sessions[event.session_id] = session
        heard = session.heard.get(event.message_id)
        if heard is None:
            heard = session.heard[event.message_id] = _Heard(now, timestamp_ms, mute=False)
        heard.at, heard.timestamp_ms = now, timestamp_ms
        _take(heard, event, outcome, session.transcript.messages[event.message_id])
        key = MessageKey(event.session_id, event.message_id)
        self._by_age[key] = None
        self._by_age.move_to_end(key)
        return outcome

    def _forget(self, session_id: str, session: _Session, timestamp_ms: int) -> None:
        for message_id in session.heard:
            self._by_age.pop(MessageKey(session_id, message_id), None)
        session.heard.clear()
        self._sessions[session_id] = session
        self._forgotten[session_id] = timestamp_ms
        self._forgotten.move_to_end(session_id)

    def ask_end(self, now: float) -> bool:
        """Note that the end is asked for now; False if that is under way already."""
        if self.asking is not None:
            return False
        self.asking, self._asked_end = now, None
        self.asked += 1
        return True

    def end_known(self, asked: float, end: int) -> None:
        """The end that was asked for at `asked`."""
        if self.asking == asked:
            self._asked_end = end

    def reached(self) -> bool:
        """Whether the asked end has been read now; then `read_to` is when it was asked for."""
        if self.asking is None or self._asked_end is None or self.position < self._asked_end:
            return False
        self.read_to, self.asking, self._asked_end = self.asking, None, None
        self.answered = self.asked
        return True

    def look_anew(self) -> None:
        """The shard was assigned: what was known of its end says nothing about now."""
        self.read_to, self.asking, self._asked_end = float("-inf"), None, None

    # -- what is true

    def view(self, key: MessageKey) -> Message | None:
        """The state of a message, None if no event of it was read."""
        session = self._sessions.get(key.session_id)
        return session.transcript.messages.get(key.message_id) if session else None

    def at_hand(self, session_id: str) -> AtHand:
        """What was read of a session, for a rebuild of its history."""
        session = self._sessions.get(session_id)
        messages = list(session.transcript.messages.values()) if session else []
        forgotten = session.transcript.forgotten if session else None
        return AtHand(self.start, self.position, self.forgotten_to, messages, forgotten)

    def forgets(self, session_id: str, prompt_offset: int) -> bool:
        """Whether what was said there was said before its session was forgotten."""
        session = self._sessions.get(session_id)
        if session is None or session.transcript.forgotten is None:
            return False
        return session.transcript.forgets(Place(self._epoch, prompt_offset))

    def heard_at(self, key: MessageKey) -> float:
        """When (on this process's clock) an event of the message that counts was read last."""
        return self._sessions[key.session_id].heard[key.message_id].at

    def heard_at_ms(self, key: MessageKey) -> int:
        """When (on the broker's clock) that event came into the log."""
        return self._sessions[key.session_id].heard[key.message_id].timestamp_ms

    def mute_since_ms(self, key: MessageKey) -> int | None:
        """Log time of the message's latest start if nothing was heard of it since, else None."""
        session = self._sessions.get(key.session_id)
        heard = session.heard.get(key.message_id) if session else None
        return heard.timestamp_ms if heard is not None and heard.mute else None

    def is_mute(self, key: MessageKey) -> bool:
        """Say whether nothing of the message was read, or nothing after its latest start."""
        session = self._sessions.get(key.session_id)
        heard = session.heard.get(key.message_id) if session else None
        return heard is None or heard.mute

    def mute_deaths(self, key: MessageKey) -> int:
        """How many starts of the message were followed by nothing; the latest one counts too."""
        session = self._sessions.get(key.session_id)
        heard = session.heard.get(key.message_id) if session else None
        return 0 if heard is None else heard.mute_deaths + heard.mute

    def told_anew(self, key: MessageKey) -> bool:
        """Whether the latest attempt was released because its model can't go on with the text."""
        session = self._sessions.get(key.session_id)
        heard = session.heard.get(key.message_id) if session else None
        return heard is not None and heard.told_anew

    def repeated_bytes(self, key: MessageKey) -> tuple[int, ...]:
        """Give the size of the message's text each time that it was gone on with."""
        return self._sessions[key.session_id].heard[key.message_id].repeated_bytes

    def stored(self, key: MessageKey) -> bool:
        """Whether this process has stored the message's turns."""
        session = self._sessions.get(key.session_id)
        heard = session.heard.get(key.message_id) if session else None
        return heard is not None and heard.stored

    def set_stored(self, key: MessageKey) -> None:
        """The message's turns are stored: its text is not needed here any more."""
        session = self._sessions.get(key.session_id)
        if session is None or key.message_id not in session.heard:
            return
        session.heard[key.message_id].stored = True
        session.transcript.messages[key.message_id].contents.clear()

    # -- forgetting

    def forget_before(self, timestamp_ms: int, needed: Callable[[MessageKey], bool]) -> None:
        """Forget messages last heard of before this log time, except those still needed.

        That a session was forgotten, too: what was said before that can't come again.
        """
        while self._forgotten and next(iter(self._forgotten.values())) < timestamp_ms:
            self._let_go_of_forgotten(self._forgotten.popitem(last=False)[0])
        kept: list[MessageKey] = []
        while self._by_age:
            key = next(iter(self._by_age))
            session = self._sessions[key.session_id]
            if session.heard[key.message_id].timestamp_ms >= timestamp_ms:
                break
            del self._by_age[key]
            if needed(key):
                kept.append(key)
                continue
            del session.heard[key.message_id]
            gone = session.transcript.messages.pop(key.message_id)
            if gone.last is not None:
                self.forgotten_to = max(self.forgotten_to, gone.last.offset + 1)
            self._leave_if_empty(key.session_id)
        for key in reversed(kept):
            self._by_age[key] = None
            self._by_age.move_to_end(key, last=False)

    def _let_go_of_forgotten(self, session_id: str) -> None:
        transcript = self._sessions[session_id].transcript
        if transcript.forgotten is not None:
            self.forgotten_to = max(self.forgotten_to, transcript.forgotten.at.offset + 1)
        transcript.forgotten = None
        self._leave_if_empty(session_id)

    def _leave_if_empty(self, session_id: str) -> None:
        session = self._sessions[session_id]
        if not session.heard and session.transcript.forgotten is None:
            del self._sessions[session_id]


def _take(heard: _Heard, event: SessionEvent, outcome: Outcome, view: Message) -> None:
    """Note what an event that counts says of its attempt: has it said anything of its own?"""
    if outcome is Outcome.STARTED:
        heard.mute_deaths += heard.mute
        heard.mute, heard.told_anew = True, False
        heard.repeats = view.continues is not None and bool(view.text)
        size = (len(view.text.encode()),) if heard.repeats else ()
        heard.repeated_bytes = heard.repeated_bytes + size if view.continues is not None else ()
    elif outcome is Outcome.CHUNK and heard.repeats:
        heard.repeats = False
    else:
        heard.mute = False
        heard.told_anew = (
            isinstance(event, Status) and event.state == "released" and event.reason == BEGIN_ANEW
        )
