"""What is answered before the handshake: a turn, or 429 with the time to come again."""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

from websockets.http11 import Response

from gateway.counters import Counters
from gateway.limits.arrivals import BURST_S
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Who
from gateway.limits.settings import LimitSettings
from gateway.socket.door import Door
from tests.unit.gateway.limits.alone import limiter

ADDRESS = "203.0.113.5"


def door(held: Limiter | None = None, **settings: int) -> Door:
    chosen = LimitSettings(epoch=1, **cast(Any, settings))
    return Door(chosen, held or limiter(None, **settings), clock=lambda: 0.0)


def test_who_comes_alone_goes_on_at_once() -> None:
    assert door().knock(ADDRESS, 0) is None


def refused(response: object) -> str:
    assert isinstance(response, Response)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) >= 1
    return cast(bytes, response.body).decode()


def test_a_gateway_that_is_full_says_so() -> None:
    counters = Counters()
    one = door(limiter(counters), connections=100)
    assert one.knock(None, 99) is None
    assert "100 is the limit (connections)" in refused(one.knock(None, 100))
    assert counters.limited == {"connections": 1}


async def test_an_address_that_is_crowded_is_refused_before_anything_is_done() -> None:
    held = limiter(connections_per_address=1)
    await held.enter(Who("s", None, ADDRESS))
    one = door(held)
    assert "connections_per_address" in refused(one.knock(ADDRESS, 1))
    assert one.knock("203.0.113.6", 1) is None
    held.leave(Who("s", None, ADDRESS))
    assert one.knock(ADDRESS, 0) is None


def test_a_flood_of_one_address_is_refused_and_this_machine_is_none() -> None:
    one = door(address_connections_per_second=1, connections_per_second=0)
    met = [one.knock(ADDRESS, 0) for _ in range(11)]
    assert met[:10] == [None] * 10
    assert "address_connections_per_second" in refused(met[10])
    assert [one.knock(None, 0) for _ in range(100)] == [None] * 100


async def test_who_must_wait_waits_and_is_counted_as_one_who_is_there() -> None:
    one = door(connections_per_second=500, connections=1500)
    at_once = round(500 * BURST_S)
    met = [one.knock(None, 0) for _ in range(at_once + 200)]
    waiting = [each for each in met if isinstance(each, Awaitable)]
    assert met[:at_once] == [None] * at_once
    assert len(waiting) == 200
    all_in = asyncio.gather(*waiting)
    await asyncio.sleep(0)
    assert one.waiting == 200
    assert "1500 is the limit (connections)" in refused(one.knock(None, 1300))
    last = one.knock(None, 1299)
    assert isinstance(last, Awaitable)
    await asyncio.gather(all_in, last)
    assert one.waiting == 0
