"""Where a connection is cut, and how a route is written."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.proxy import routes
from deploy.local.proxy.trigger import Trigger, Watch


def passed(trigger: Trigger, pieces: list[bytes]) -> bytes | None:
    """What the server hears before the cut; None: there is none."""
    watch, heard = Watch(trigger), b""
    for piece in pieces:
        last = watch.passes(piece)
        heard += piece[:last]
        if last is not None:
            return heard
    return None


def test_the_piece_with_the_text_is_passed_on_or_not() -> None:
    pieces = [b"BEGIN", b"a COMMIT b", b"c"]
    assert passed(Trigger(b"COMMIT", forward=True), pieces) == b"BEGINa COMMIT b"
    assert passed(Trigger(b"COMMIT", forward=False), pieces) == b"BEGIN"
    assert passed(Trigger(b"ROLLBACK"), pieces) is None


def test_a_text_in_two_pieces_is_found() -> None:
    pieces = [b"BEGIN CO", b"M", b"MIT;", b"BEGIN"]
    assert passed(Trigger(b"COMMIT", forward=True), pieces) == b"BEGIN COMMIT;"
    assert passed(Trigger(b"COMMIT", forward=False), pieces) == b"BEGIN COM"


def test_after_the_text_the_bytes_are_counted_exactly() -> None:
    pieces = [b"xCO", b"PYab", b"cd", b"ef"]
    heard = [passed(Trigger(b"COPY", after_bytes=count), pieces) for count in range(7)]
    after = [b"", b"a", b"ab", b"abc", b"abcd", b"abcde", b"abcdef"]
    assert heard == [b"xCOPY" + each for each in after]
    assert passed(Trigger(b"COPY", after_bytes=7), pieces) is None


@given(st.binary(max_size=40), st.lists(st.integers(0, 60), max_size=6), st.integers(0, 9))
def test_how_the_bytes_are_split_does_not_matter(
    rest: bytes, places: list[int], count: int
) -> None:
    whole = b"aabCOCOPY" + rest
    cuts = [0, *sorted(min(place, len(whole)) for place in places), len(whole)]
    pieces = [whole[begin:end] for begin, end in pairwise(cuts)]
    expected = whole[: 9 + count] if count <= len(rest) else None
    assert passed(Trigger(b"COPY", after_bytes=count), pieces) == expected


def test_a_route_is_read_as_it_was_written() -> None:
    route = routes.Route("worker-redis", 20_001, "127.0.0.1", 6379)
    assert routes.write(route) == "worker-redis=20001:127.0.0.1:6379"
    assert routes.read(routes.write(route)) == route


def test_a_link_has_a_route_to_every_broker() -> None:
    brokers = [routes.Route("worker-kafka", port, "127.0.0.1", port + 1) for port in (1, 3)]
    other = routes.Route("worker-redis", 5, "127.0.0.1", 6)
    assert routes.by_link([*brokers, other]) == {
        "worker-kafka": brokers,
        "worker-redis": [other],
    }
