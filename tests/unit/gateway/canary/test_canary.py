"""The canary's session, its address, and that what it writes counts for nobody."""

import pytest

from gateway.canary.canary import Canary, address_of
from gateway.feed.followers import Followers
from gateway.socket.address import parse
from schemas.events import decode_session_event, encode
from schemas.transcript import Place, Transcript


def canary() -> Canary:
    return Canary(shards=8, every_s=5.0)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "ws://127.0.0.1:80/ws/chat/s/"),
        ("0.0.0.0", "ws://127.0.0.1:80/ws/chat/s/"),
        ("::", "ws://[::1]:80/ws/chat/s/"),
        ("::1", "ws://[::1]:80/ws/chat/s/"),
        ("192.168.1.5", "ws://192.168.1.5:80/ws/chat/s/"),
    ],
)
def test_a_server_that_listens_everywhere_is_reached_on_loopback(host: str, address: str) -> None:
    assert address_of(host, 80, "s") == address


def test_its_session_is_one_that_the_gateway_takes_and_nobody_else_is_in() -> None:
    one, other = canary().session_id, canary().session_id
    assert parse(f"/ws/chat/{one}/").session_id == one
    assert one != other


def test_its_events_are_valid_and_count_for_nobody() -> None:
    event = decode_session_event(encode(canary()._event("a1")))
    assert event is not None
    transcript = Transcript()
    assert not transcript.apply(event, Place(1, 0)).counts
    assert transcript.messages == {}


class Follower:
    shard = 0

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def lacks_only(self, _offset: int) -> bool:
        return False

    def give(self, frame: bytes) -> None:
        pass

    def wake(self, *_: object) -> None:
        pass

    def lose_position(self) -> None:
        pass


def test_its_connection_is_not_counted_among_peoples() -> None:
    followers = Followers(1, "canary")
    followers.add(Follower("canary"))
    assert (followers.people, followers.sessions) == (0, 0)
    person = Follower("s")
    followers.add(person)
    assert (followers.people, followers.sessions) == (1, 1)
    assert len(list(followers)) == 2
    followers.remove(person)
    assert (followers.people, followers.sessions) == (0, 0)
