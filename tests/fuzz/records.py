"""A record as the log gives it, of bytes that were made up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FuzzedRecord:
    """What readers ask of a record."""

    offset: int
    key: bytes | None
    value: bytes | None
