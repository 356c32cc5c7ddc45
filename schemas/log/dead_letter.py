"""Dead letters: records that could not be used, kept as they were with the reason.

Worker and persister write them alike, so that one reader (`talklog dead-letters`) understands both.
A letter is the record's own key, value and headers, and after those five headers of the letter's:
where the record lay, why it could not be used, and how often that was tried.

Whoever passes a bad record waits until its letter is acknowledged. A crash between the two writes
the letter once more, which `talklog dead-letters` recognises by where the record lay.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Protocol

from schemas.topics import DEAD_LETTERS, Headers

TOPIC, PARTITION, OFFSET, REASON, TRIES = "topic", "partition", "offset", "reason", "tries"
SIZE, SHA256 = "size", "sha256"
OF_THE_LETTER = frozenset({TOPIC, PARTITION, OFFSET, REASON, TRIES, SIZE, SHA256})
"""The letter's own headers; every other one is the record's."""
REASON_MAX_CHARS = 1000
VALUE_MAX_BYTES = 256 * 1024
HEAD_BYTES = 4 * 1024
HEADER_MAX_BYTES = 1024
HEADERS_MAX = 32
"""A letter is always smaller than what a broker takes, whatever the record was: of a large value it
has the head, of long or many headers the first part; the whole lies where the letter says, as long
as the log holds it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the topic `dead_letters`, as it is written."""

    key: bytes | None
    value: bytes
    headers: Headers


class Sender(Protocol):
    """Writes a record and waits for the broker, as `LogProducer` does. Raises SendFailed."""

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        """Give the record's offset."""


def dead_letter(
    topic: str,
    shard: int,
    offset: int,
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    reason: str,
    tries: int,
) -> DeadLetter:
    """Make the letter of a record that lies at `topic`, `shard`, `offset`. Pure.

    A value of more than VALUE_MAX_BYTES is cut to its head; the letter then has its size and hash.
    A header without a value gets the empty one.
    """
    whole = value or b""
    cut = len(whole) > VALUE_MAX_BYTES
    about_the_whole = [
        (SIZE, str(len(whole)).encode()),
        (SHA256, sha256(whole).hexdigest().encode()),
    ]
    own = [(name, (text or b"")[:HEADER_MAX_BYTES]) for name, text in islice(headers, HEADERS_MAX)]
    # The record's own come first: a reader that keeps one of each name keeps the letter's.
    return DeadLetter(
        key[:HEADER_MAX_BYTES] if key is not None else None,
        whole[:HEAD_BYTES] if cut else whole,
        [
            *((name[:HEADER_MAX_BYTES], text) for name, text in own),
            (TOPIC, topic.encode()),
            (PARTITION, str(shard).encode()),
            (OFFSET, str(offset).encode()),
            (REASON, reason[:REASON_MAX_CHARS].encode(errors="replace")),
            (TRIES, str(tries).encode()),
            *(about_the_whole if cut else ()),
        ],
    )


async def write_dead_letter(sender: Sender, letter: DeadLetter) -> None:
    """Write it and wait for the acknowledgement. Raises SendFailed."""
    await sender.send(DEAD_LETTERS, None, letter.key, letter.value, letter.headers)
