"""How much a worker has to do, as it tells it each second: how long would one more wait? Pure.

An estimate for people, and for refusing what would wait for ever; nothing is decided by it that
must be right. It is told through Redis: with Redis away nothing is known, and nothing is refused.
"""

from dataclasses import dataclass

import msgspec
from msgspec import Struct


class Load(Struct, frozen=True, kw_only=True):
    """Of one worker. `told` rises with each time, so that one that has stopped is seen to be old.

    `waiting` are messages that could run if there were room; `answer_s` is how long its newest
    answers took, None: it has given none yet.
    """

    told: int
    shards: list[int]
    running: int
    room: int
    waiting: int
    answer_s: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """One more would be the `position`-th of those that wait, and begin in so long."""

    position: int
    eta_s: float


def wait_of(load: Load) -> Wait | None:
    """Say how long one more message would wait there; None: it begins at once, or nobody knows."""
    if load.running < load.room or load.answer_s is None:
        return None
    position = load.waiting + 1
    return Wait(position, position * load.answer_s / load.room)


encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Load)


def decode(value: bytes) -> Load | None:
    """Read what a worker has told; None: it is of another version."""
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError:
        return None
