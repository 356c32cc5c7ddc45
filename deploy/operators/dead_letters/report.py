"""What `talklog dead-letters` prints. Pure.

Nothing of a record is trusted: what would steer a terminal is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from deploy.operators.dead_letters.letter import Letter
from deploy.operators.tooling.conversation_text import harmless

REASON_CHARS = 60
HEX_BYTES_A_LINE = 16
HEADLINE = ("letter", "when", "reason", "tries", "from", "session/message", "redriven as")


def chosen(letters: Iterable[Letter], *, reason: str, since_ms: int) -> list[Letter]:
    """Give those whose reason contains the text (whatever its case) and that are not older."""
    return [
        letter
        for letter in letters
        if letter.timestamp_ms >= since_ms and reason.lower() in letter.reason.lower()
    ]


def table(letters: Iterable[Letter]) -> list[str]:
    """Give a line for each letter, below a headline; nothing for none."""
    rows = [_row(letter) for letter in letters]
    if not rows:
        return []
    every = [HEADLINE, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEADLINE))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]


def as_json(letter: Letter) -> dict[str, object]:
    """Give what the list knows of a letter."""
    session_id, message_id = whose(letter)
    return {
        "letter": str(letter.number),
        "at": _when(letter),
        "reason": letter.reason,
        "tries": letter.tries,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "session_id": session_id,
        "message_id": message_id,
        "bytes": len(letter.value),
        "redriven_as": letter.redriven_as,
    }


def whose(letter: Letter) -> tuple[str | None, str | None]:
    """Give session and message, as far as the original can be read."""
    event = letter.event()
    return (event.session_id, event.message_id) if event is not None else (None, None)


def in_full(letter: Letter) -> Iterator[str]:
    """Give everything there is of a letter, line by line."""
    known = as_json(letter)
    for name in ("letter", "at", "reason", "tries"):
        yield harmless(f"{name:<12}{known[name]}")
    yield harmless(f"{'from':<12}{letter.source}")
    yield harmless(f"{'key':<12}{(letter.key or b'').decode(errors='replace')}")
    for name, value in letter.headers:
        yield harmless(f"{name:<12} {value.decode(errors='replace')}")
    if letter.sha256:
        yield harmless(f"{'cut':<12}{len(letter.value)} of {letter.size} bytes, see --help")
    yield harmless(f"{'redriven as':<12}{letter.redriven_as or 'not redriven'}")
    yield ""
    yield from body(letter.value)


def body(value: bytes) -> Iterator[str]:
    """Give the original: laid out if it is JSON, else as bytes."""
    try:
        text = json.dumps(json.loads(value), indent=2, ensure_ascii=False)
        text.encode()  # a lone surrogate can't be printed: show the bytes
    except (ValueError, RecursionError):
        yield f"{len(value)} bytes, not JSON"
        yield from _hex(value)
        return
    yield from map(harmless, text.split("\n"))


def _row(letter: Letter) -> tuple[str, ...]:
    session_id, message_id = whose(letter)
    who = "-" if session_id is None else f"{session_id}/{message_id}"
    reason = letter.reason
    if len(reason) > REASON_CHARS:
        reason = reason[: REASON_CHARS - 1] + "…"
    cells = (
        str(letter.number),
        _when(letter),
        reason,
        letter.tries,
        letter.source,
        who,
        letter.redriven_as or "-",
    )
    return tuple(harmless(cell.replace("\n", " ").replace("\t", " ")) for cell in cells)


def _when(letter: Letter) -> str:
    moment = datetime.fromtimestamp(letter.timestamp_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(value: bytes) -> Iterator[str]:
    for start in range(0, len(value), HEX_BYTES_A_LINE):
        part = value[start : start + HEX_BYTES_A_LINE]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<{3 * HEX_BYTES_A_LINE}} {shown}"
