"""What a gateway holds by itself: nobody is refused for Redis, and nobody is unlimited without."""

import structlog

from gateway.counters import Counters
from gateway.limits.rules import Over, Who
from tests.unit.gateway.limits.alone import limiter

ALICE = Who("s1", "alice", "203.0.113.5")


def limit_of(over: Over | None) -> str | None:
    return None if over is None else over.limit


async def test_sockets_are_counted_by_session_user_and_address() -> None:
    one = limiter(connections_per_session=2, connections_per_user=3, connections_per_address=4)
    assert [await one.enter(ALICE) for _ in range(2)] == [None, None]
    assert limit_of(await one.enter(ALICE)) == "connections_per_session"
    assert await one.enter(Who("s2", "alice", "203.0.113.5")) is None
    assert limit_of(await one.enter(Who("s3", "alice", "203.0.113.9"))) == "connections_per_user"
    assert await one.enter(Who("s4", "bob", "203.0.113.5")) is None
    assert limit_of(await one.enter(Who("s5", "eve", "203.0.113.5"))) == "connections_per_address"
    assert limit_of(one.crowded("203.0.113.5")) == "connections_per_address"
    one.leave(ALICE)
    assert one.crowded("203.0.113.5") is None
    assert await one.enter(ALICE) is None


async def test_who_is_refused_is_counted_nowhere() -> None:
    one = limiter(connections_per_session=1, connections_per_address=3)
    assert await one.enter(ALICE) is None
    for _ in range(10):
        assert limit_of(await one.enter(ALICE)) == "connections_per_session"
    assert await one.enter(Who("s2", "alice", "203.0.113.5")) is None


async def test_messages_have_a_rate_for_user_and_address_each() -> None:
    counters = Counters()
    one = limiter(counters, user_messages_per_minute=2, address_messages_per_minute=3)
    met = [limit_of(await one.message(ALICE, f"m{n}")) for n in range(3)]
    assert met == [None, None, "user_messages_per_minute"]
    assert limit_of(await one.message(Who("s", None, "203.0.113.5"), "m")) == (
        "address_messages_per_minute"
    )
    assert await one.message(Who("s", "bob", "203.0.113.6"), "m") is None
    assert counters.limited == {"user_messages_per_minute": 1, "address_messages_per_minute": 1}
    assert counters.limits_local > 0


async def test_this_machine_without_a_user_is_asked_nothing() -> None:
    counters = Counters()
    one = limiter(counters)
    for number in range(1000):
        assert await one.message(Who("s"), f"m{number}") is None
        assert one.read(Who("s")) is None
    assert (counters.limits_local, counters.limited) == (0, {})


async def test_scans_cost_what_is_read_and_leave_other_reads_alone() -> None:
    counters = Counters()
    one = limiter(counters, address_reads_per_minute=20)
    assert [one.may_scan(ALICE, 10) for _ in range(3)] == [True, True, False]
    assert [limit_of(one.read(ALICE)) for _ in range(21)] == [
        *[None] * 20,
        "address_reads_per_minute",
    ]
    assert counters.limited == {"address_reads_per_minute": 2}, "a snapshot instead is counted, too"
    assert one.may_scan(Who("s"), 1_000_000), "it has no address"


async def test_a_limit_that_is_met_is_logged_once_for_each_address() -> None:
    one = limiter(connections_per_session=1)
    with structlog.testing.capture_logs() as logged:
        for _ in range(5):
            await one.enter(ALICE)
            await one.enter(Who("s1", "bob", "203.0.113.6"))
    assert [(line["limit"], line["client"]) for line in logged] == [
        ("connections_per_session", "203.0.113.6"),
        ("connections_per_session", "203.0.113.5"),
    ]
