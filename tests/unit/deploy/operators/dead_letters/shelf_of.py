"""Records of `dead_letters` as tests write them."""

from deploy.operators.dead_letters.letter import Letter, LetterNumber, Stored, letters
from schemas.events import UserMessage, encode
from schemas.topics import HEADERS

SAID = UserMessage(
    session_id="s1",
    message_id="m1",
    created_at="2026-01-01T00:00:00.000Z",
    content="hello",
    on_busy="interrupt",
    model="small",
    user="alice",
)


def stored(
    offset: int = 0,
    value: bytes = encode(SAID),
    *,
    topic: str = "user_messages",
    source: tuple[int, int] = (3, 7),
    reason: str = "retries_exhausted",
    key: bytes | None = b"s1",
    at_ms: int = 1_000,
) -> Stored:
    headers = [
        *HEADERS,
        ("topic", topic.encode()),
        ("partition", str(source[0]).encode()),
        ("offset", str(source[1]).encode()),
        ("reason", reason.encode()),
        ("tries", b"3"),
    ]
    return Stored(LetterNumber(0, offset), at_ms, key, value, headers)


def note(offset: int, letter: str, lies_at: str = "user_messages.1.9 redriven-x") -> Stored:
    headers = [("redriven", letter.encode()), ("redriven-as", lies_at.encode())]
    return Stored(LetterNumber(0, offset), 2_000, b"s1", b"", headers)


def letter(value: bytes = encode(SAID), **fields: object) -> Letter:
    [found] = letters([stored(value=value, **fields)])  # type: ignore[arg-type]
    return found
