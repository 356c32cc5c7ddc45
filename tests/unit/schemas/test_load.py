"""How long one more message waits at a worker."""

import pytest

from schemas.load import Load, Wait, decode, encode, wait_of


def load(running: int, waiting: int, answer_s: float | None = 10.0, room: int = 5) -> Load:
    return Load(
        told=1, shards=[0, 1], running=running, room=room, waiting=waiting, answer_s=answer_s
    )


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        (load(running=4, waiting=0), None),
        (load(running=4, waiting=3), None),  # they wait for something else
        (load(running=5, waiting=0), Wait(1, 2.0)),  # every 2 s one of five ends
        (load(running=5, waiting=9), Wait(10, 20.0)),
        (load(running=7, waiting=9), Wait(10, 20.0)),
        (load(running=5, waiting=9, answer_s=None), None),
    ],
)
def test_one_more_waits_until_so_many_have_ended(told: Load, wait: Wait | None) -> None:
    assert wait_of(told) == wait


def test_what_is_told_is_read_and_what_is_not_ours_is_not() -> None:
    assert decode(encode(load(1, 2))) == load(1, 2)
    assert decode(b"{}") is None
    assert decode(b"\xff") is None
