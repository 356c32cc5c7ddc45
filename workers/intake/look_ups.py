"""Which messages are looked up next: a few at a time, those that could start first. Pure.

A worker that takes over a long backlog would else ask Redis and Postgres for all of it at once,
and answers would start without their conversation because no connection was free.
"""

from collections import OrderedDict

from workers.intake.actions import Action, LookUp
from workers.intake.state import Work

AT_ONCE = 16


class LookUps:
    """The questions that are asked, and those that wait. `actions` grows as they are sent."""

    def __init__(self, actions: list[Action]) -> None:
        self._actions = actions
        self._asked: set[int] = set()
        self._heads: OrderedDict[int, Work] = OrderedDict()
        self._others: OrderedDict[int, Work] = OrderedDict()

    def ask(self, work: Work, *, head: bool) -> None:
        """Have a message looked up; asking again may bring it forward."""
        if work.token in self._asked:
            return
        if head:
            self._others.pop(work.token, None)
            self._heads[work.token] = work
        elif work.token not in self._heads:
            self._others[work.token] = work
        self._send()

    def answered(self, token: int) -> None:
        """Note that a question was answered, also if its message is ours no more."""
        self._asked.discard(token)
        self._send()

    def leave(self, work: Work) -> None:
        """Don't ask for it any more."""
        self._heads.pop(work.token, None)
        self._others.pop(work.token, None)

    def clear(self) -> None:
        """Forget what waits; what was asked is answered all the same."""
        self._heads.clear()
        self._others.clear()

    def _send(self) -> None:
        while len(self._asked) < AT_ONCE and (queue := self._heads or self._others):
            token, work = queue.popitem(last=False)
            self._asked.add(token)
            self._actions.append(LookUp(token, work.shard, work.key))
