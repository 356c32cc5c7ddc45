"""Records that can't be stored go to the dead letters, before the position passes them."""

from typing import NamedTuple, Protocol

from persister.batch import Partition
from persister.reading import WholeRecord
from schemas.log.dead_letter import Sender, dead_letter, write_dead_letter
from schemas.log.log_reader import LogUnavailable
from schemas.log.producer import SendFailed


class Bad(NamedTuple):
    """A record that can't be stored, and why."""

    partition: Partition
    record: WholeRecord
    reason: str
    tries: int


class DeadLetterBox(Protocol):
    """Where bad records go."""

    async def put(self, bad: Bad) -> None:
        """Return when it is safe. Raises LogUnavailable."""


class DeadLetters:
    """The topic."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def put(self, bad: Bad) -> None:
        """Write it and wait for the acknowledgement. Raises LogUnavailable."""
        letter = dead_letter(
            *bad.partition,
            bad.record.offset,
            key=bad.record.key,
            value=bad.record.value,
            headers=bad.record.headers,
            reason=bad.reason,
            tries=bad.tries,
        )
        try:
            await write_dead_letter(self._sender, letter)
        except SendFailed as error:
            raise LogUnavailable(f"dead letter: {error}") from error
