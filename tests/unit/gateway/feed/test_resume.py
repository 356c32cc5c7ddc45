"""A cursor is never guessed at."""

import pytest

from gateway.feed.resume import RESUME_MAX_BYTES, fits, resume_position


@pytest.mark.parametrize(
    ("cursor", "position"),
    [
        ("7.3.0", 1),
        ("7.3.99", 100),
        ("7.3.100", None),  # the log ends at 100: no such record
        ("6.3.5", None),
        ("8.3.5", None),
        ("7.2.5", None),
        ("7.3.-1", 0),  # the place before the first record
        ("7.3", None),
        ("", None),
        ("x", None),
        ("7.3.5 ", None),
        ("7.3.99999999999999999999", None),
        ("\u0667.3.5", None),
    ],
)
def test_where_a_cursor_goes_on(cursor: str, position: int | None) -> None:
    assert resume_position(cursor, epoch=7, shard=3, end=100) == position


def test_what_is_sent_at_once_is_bounded() -> None:
    assert fits([])
    assert fits([b"x" * (RESUME_MAX_BYTES - 1), b"x"])
    assert not fits([b"x" * RESUME_MAX_BYTES, b"x"])
