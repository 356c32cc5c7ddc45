"""How many sockets of each session, user and address are open here. Pure."""

from collections import Counter
from collections.abc import Iterator

from gateway.limits.rules import LimitName, Who

Subject = tuple[str, str]
"""What it is (session, user, address), and which."""

LIMIT_OF: dict[str, LimitName] = {
    "session": "connections_per_session",
    "user": "connections_per_user",
    "address": "connections_per_address",
}


def subjects(who: Who) -> Iterator[Subject]:
    """Give those to whom the connection belongs."""
    yield "session", who.session_id
    if who.user is not None:
        yield "user", who.user
    if who.address is not None:
        yield "address", who.address


class Counts:
    """As many numbers as there are sockets, at most three for each."""

    def __init__(self) -> None:
        self._open: Counter[Subject] = Counter()

    def of(self, subject: Subject) -> int:
        """How many there are."""
        return self._open.get(subject, 0)

    def all(self) -> list[Subject]:
        """Give all of whom some are open."""
        return list(self._open)

    def add(self, who: Who) -> None:
        """One more."""
        self._open.update(subjects(who))

    def remove(self, who: Who) -> None:
        """One less; what has none is forgotten."""
        for subject in subjects(who):
            self._open[subject] -= 1
            if self._open[subject] <= 0:
                del self._open[subject]
