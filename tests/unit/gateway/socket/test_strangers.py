"""A flood of those who say nothing throws its own out."""

from gateway.counters import Counters
from gateway.socket.strangers import Strangers


class Socket:
    def __init__(self) -> None:
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True


def test_the_one_who_was_silent_longest_goes() -> None:
    counters = Counters()
    strangers = Strangers(2, counters)
    one, two, three = Socket(), Socket(), Socket()
    for socket in (one, two, three):
        strangers.add(socket)
    assert [socket.is_cut for socket in (one, two, three)] == [True, False, False]
    assert (len(strangers), counters.strangers_dropped) == (2, 1)


def test_who_said_who_he_is_stays_whatever_comes() -> None:
    strangers = Strangers(10, Counters())
    honest = Socket()
    strangers.add(honest)
    strangers.discard(honest)
    flood = [Socket() for _ in range(1000)]
    for socket in flood:
        strangers.add(socket)
    assert not honest.is_cut
    assert sum(socket.is_cut for socket in flood) == 990
    assert list(strangers) == flood[990:]


def test_who_is_asked_once_more_begins_anew() -> None:
    strangers = Strangers(2, Counters())
    one, two, three = Socket(), Socket(), Socket()
    for socket in (one, two, one, three):
        strangers.add(socket)
    assert [socket.is_cut for socket in (one, two, three)] == [False, True, False]
