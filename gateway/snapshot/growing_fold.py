"""A session's fold while it is made: what Postgres has, and the log after it as far as it is read.

Pure. What looks new in the log may have ended long ago, when a late event names it: those ids are
`unknown` until Postgres was asked about them.
"""

from collections.abc import Collection

from gateway.feed.delivery import readable
from gateway.snapshot.snapshot import end_lost
from gateway.snapshot.stored import Stored
from schemas.shard_log import Record
from schemas.transcript import Outcome, Place, Transcript


class GrowingFold:
    """`transcript` is the fold so far; of messages that are not in it `ended` have ended."""

    def __init__(self, stored: Stored, session_id: str, epoch: int) -> None:
        self.transcript = Transcript(
            messages={message.message_id: message for message in stored.messages},
            forgotten=stored.forgotten,
        )
        self._stored, self._session_id, self._epoch = stored, session_id, epoch
        self._held, self._named, self.more = set(self.transcript.messages), set[str](), stored.more
        self.ended = [each for each in stored.ended if each not in self._held]
        self._over = set(self.ended)
        self._looked_up: set[str] = set()

    def take(self, record: Record) -> None:
        """Fold the next record of the session."""
        event = readable(record, self._session_id)
        if event is None or event.message_id in self._over:  # after a terminal: ignored
            return
        outcome = self.transcript.apply(event, Place(self._epoch, record.offset))
        self._named.add(event.message_id)
        if outcome is Outcome.FORGOTTEN:
            # The rows have not heard of it: what they hold is gone.
            self._held, self._named, self._over = set(), set(), set()
            self.ended, self.more = [], False

    def unknown(self, asked: Collection[str]) -> set[str]:
        """Give the messages, those that are `asked` for too, of which Postgres must be asked."""
        known = self._held | self._over | self._looked_up
        return (self.transcript.messages.keys() | set(asked)) - known

    def know(self, looked_up: Collection[str], over: Collection[str]) -> None:
        """Take what Postgres says: which of those that were looked up have ended long ago."""
        self._looked_up |= set(looked_up)
        self._over |= set(over)
        self.ended = [*over, *self.ended]
        for message_id in over & self.transcript.messages.keys():
            del self.transcript.messages[message_id]

    def end_lost(self, log_start: int) -> None:
        """End what can end no more.

        Only messages of an earlier epoch are known to be over here. Whether a message is lost
        because the log was trimmed is the persister's to say: it has read both topics.
        """
        if self._stored.next_offset is not None:
            end_lost(self.transcript.messages.values(), self._epoch, log_start, self._is_named)

    def _is_named(self, message_id: str) -> bool:
        named_in = self._stored.named_in_epoch.get(message_id, 0)
        return message_id in self._named or named_in >= self._epoch
