"""The consumer group: members, generations, eager rebalances, commits."""

from collections.abc import Mapping
from typing import Protocol

from tests.simulation.truth import Truth
from tests.simulation.world import Process, World

SESSION_TIMEOUT_S = 6.0


class Member(Protocol):
    """A process in the group."""

    @property
    def process(self) -> Process: ...

    def on_assigned(self, generation: int, shards: list[int]) -> None: ...


class Group:
    """Kafka's coordinator, for one topic."""

    def __init__(self, world: World, shards: int, truth: Truth) -> None:
        self._world = world
        self._shards = shards
        self._truth = truth
        self._members: dict[Member, float] = {}
        self._joined: set[Member] = set()
        self._rebalancing = False
        self.generation = 0
        self._committed = dict.fromkeys(range(shards), 0)
        self._expire()

    @property
    def committed(self) -> Mapping[int, int]:
        return self._committed

    def join(self, member: Member) -> None:
        """Take part in the next generation: it begins when every member has come."""
        self._members[member] = self._world.now + SESSION_TIMEOUT_S
        self._rebalancing = True
        self._joined.add(member)
        self._complete_if_all_are_there()

    def leave(self, member: Member) -> None:
        if self._members.pop(member, None) is not None:
            self._joined.discard(member)
            self._rebalancing = True
            self._complete_if_all_are_there()

    def heartbeat(self, member: Member) -> str:
        """Give "fine", "rebalance" (give up everything and join again) or "unknown" (expired)."""
        if member not in self._members:
            return "unknown"
        self._members[member] = self._world.now + SESSION_TIMEOUT_S
        return "rebalance" if self._rebalancing and member not in self._joined else "fine"

    def commit(self, member: Member, generation: int, shard: int, offset: int) -> bool:
        if member not in self._members or generation != self.generation:
            return False
        self._committed[shard] = offset
        self._truth.committed(shard, offset)
        return True

    def _expire(self) -> None:
        for member, deadline in list(self._members.items()):
            waits = self._rebalancing and member in self._joined
            if deadline < self._world.now and not waits:
                self._world.say("group", f"{member.process.name} has not been heard of")
                self.leave(member)
        self._world.after(0.5, self._expire, timer=True)

    def _complete_if_all_are_there(self) -> None:
        if not self._rebalancing or self._joined != self._members.keys():
            return
        self._rebalancing = False
        self._joined = set()
        self.generation += 1
        members = sorted(self._members, key=lambda member: member.process.name)
        self._world.random.shuffle(members)
        for index, member in enumerate(members):
            self._members[member] = self._world.now + SESSION_TIMEOUT_S
            shards = [s for s in range(self._shards) if s % len(members) == index]
            self._world.after(
                self._world.delay(0.02),
                member.on_assigned,
                self.generation,
                shards,
                by=member.process,
            )
