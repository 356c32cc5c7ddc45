"""What would wait too long is refused before it is in the log; who says nothing is not believed."""

import asyncio
from typing import Any, cast

import pytest

from gateway.limits import overload as overload_module
from gateway.limits.overload import OLD_AFTER, Overload
from schemas.load import Load, encode


def told(number: int, waiting: int, shards: list[int]) -> bytes:
    return encode(
        Load(told=number, shards=shards, running=10, room=10, waiting=waiting, answer_s=10.0)
    )


def overload(busy_after_s: float = 60.0) -> Overload:
    return Overload(cast(Any, None), busy_after_s)


def test_the_wait_is_that_of_the_worker_who_has_the_shard() -> None:
    one = overload()
    one.hear({b"a": told(1, 29, [0, 1]), b"b": told(1, 299, [2]), b"of later": b"{"})
    waits = [one.wait(shard) for shard in (0, 2, 3)]
    assert [wait and (wait.position, wait.eta_s) for wait in waits] == [
        (30, 30.0),
        (300, 300.0),
        None,
    ]
    assert one.over(0) is None
    over = one.over(2)
    assert over is not None
    assert (over.limit, over.value) == ("busy_after_s", 60)
    assert 1_000 <= over.retry_after_ms <= 120_000
    assert one.over(3) is None


def test_without_the_limit_nothing_is_refused_and_the_wait_is_told() -> None:
    one = overload(0)
    one.hear({b"a": told(1, 9_999, [0])})
    assert one.over(0) is None
    assert one.wait(0) is not None


def test_a_worker_that_tells_nothing_new_has_stopped_and_nothing_is_known() -> None:
    one = overload()
    for _ in range(OLD_AFTER):
        one.hear({b"a": told(7, 9_999, [0])})
        assert one.over(0) is not None
    one.hear({b"a": told(7, 9_999, [0])})
    assert one.over(0) is None
    one.hear({b"a": told(8, 9_999, [0])})
    assert one.over(0) is not None
    for number in range(61):
        one.hear({b"a": told(8, 9_999, [0]), b"b": told(number, 0, [1])})
    assert one.forgotten() == [b"a"]
    one.hear({})  # Redis is away, or the worker has left
    assert one.over(0) is None


async def test_who_is_asked_about_no_message_asks_the_workers_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Fields:
        async def fields(self, name: str) -> dict[bytes, bytes]:
            asked.append(name)
            return {}

        async def drop_fields(self, name: str, fields: list[bytes]) -> None:
            assert not fields

    monkeypatch.setattr(overload_module, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(overload_module, "ASK_AT_REST_EVERY_S", 3600.0)
    one = Overload(cast(Any, Fields()), 60.0)
    running = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(30):
            for number in range(2, 6):  # each message has it look, at once
                await turns(20)
                assert len(asked) < number
                one.over(0)
                while len(asked) < number:  # noqa: ASYNC110 - a fake tells nobody
                    await asyncio.sleep(0)
    finally:
        running.cancel()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
