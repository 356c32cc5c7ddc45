"""`python -m tests.bench.placement`: where sockets go when there are a thousand gateways.

Simulates a balancer that hashes a shard on a ring (as deploy/proxy's do) and gives nobody more than
a bound over the mean, and one that asks nobody. Shows how many gateways read a record, the fullest
gateway, and how many sockets have to come again when gateways die or join, or a shard grows hot.
Nothing is measured: it is arithmetic with made-up sockets, the same for the same seed.
"""

import argparse
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

POINTS = 160
"""Points of a gateway on the ring."""
LOT = 10
"""Sockets that are placed at once."""


def place_of(name: str) -> int:
    """Give a place on the ring."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


class Ring:
    """Gateways on a ring; a shard's gateway is the next after it that is not full."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._points: list[tuple[int, int]] = []

    def set(self, gateways: set[int]) -> None:
        """Put these gateways on the ring, and no others."""
        self._points = sorted(
            (place_of(f"{gateway}#{point}"), gateway)
            for gateway in gateways
            for point in range(POINTS)
        )

    def gateway(self, shard: int, load: Counter[int], mean: float) -> int:
        """Give the gateway for the next sockets of a shard."""
        start = bisect_right(self._points, (place_of(f"shard {shard}"), 0))
        for step in range(len(self._points)):
            gateway = self._points[(start + step) % len(self._points)][1]
            if load[gateway] + LOT <= self._bound * mean:
                return gateway
        raise AssertionError("every gateway is full: the bound is under 1")


@dataclass
class Fleet:
    """Gateways, and how many sockets of each shard each of them has."""

    ring: Ring | None
    chance: random.Random
    gateways: set[int]
    sockets: dict[int, Counter[int]] = field(default_factory=dict)
    load: Counter[int] = field(default_factory=Counter)
    moved: int = 0

    def connect(self, shard: int, count: int, mean: float) -> None:
        """Let sockets of a shard come."""
        here = self.sockets.setdefault(shard, Counter())
        anybody = sorted(self.gateways)
        for _ in range(count // LOT):
            if self.ring is None:
                for gateway in self.chance.choices(anybody, k=LOT):
                    here[gateway] += 1
                    self.load[gateway] += 1
            else:
                gateway = self.ring.gateway(shard, self.load, mean)
                here[gateway] += LOT
                self.load[gateway] += LOT

    def all(self) -> int:
        """Number of sockets."""
        return self.load.total()

    def change(self, gateways: set[int]) -> None:
        """Have other gateways: the sockets of those that go come again, elsewhere."""
        gone, self.gateways = self.gateways - gateways, gateways
        if self.ring is not None:
            self.ring.set(gateways)
        mean = self.all() / len(gateways)
        for gateway in gone:
            del self.load[gateway]
        for shard, here in self.sockets.items():
            lost = sum(here.pop(gateway, 0) for gateway in gone)
            self.moved += lost
            self.connect(shard, lost, mean)

    def reads(self) -> float:
        """Readers of a record; a shard has as many records as sockets."""
        weighed = sum(
            here.total() * sum(map(bool, here.values())) for here in self.sockets.values()
        )
        return weighed / self.all()

    def shards_read(self) -> float:
        """Shards that a gateway reads, in the mean."""
        return sum(len(+here) for here in self.sockets.values()) / len(self.gateways)

    def fullest(self) -> float:
        """The load of the fullest gateway over the mean."""
        return max(self.load.values()) / (self.all() / len(self.gateways))


def tell(what: str, fleet: Fleet) -> None:
    """Write a line of the table."""
    print(
        f"{what:44} {fleet.reads():8.2f} {fleet.shards_read():8.1f} {fleet.fullest():8.2f} "
        f"{fleet.moved / fleet.all():8.2%}"
    )
    fleet.moved = 0


def story(name: str, fleet: Fleet, shards: int, sockets: int) -> None:
    """Let a day pass."""
    count = len(fleet.gateways)
    fleet.change(fleet.gateways)
    for shard in range(shards):
        fleet.connect(shard, sockets // shards, sockets / count)
    tell(f"{name}: all connected", fleet)
    whole = set(range(count))
    fleet.change(whole - set(fleet.chance.sample(sorted(whole), count // 20)))
    tell(f"{name}: one gateway in 20 dies", fleet)
    fleet.change(whole | set(range(count, count + count // 20)))
    for shard in range(shards):  # who comes and goes anyhow: a tenth of all
        here = fleet.sockets[shard]
        leaving = here.total() // 10
        for gateway in list(here.elements())[:leaving]:
            here[gateway] -= 1
            fleet.load[gateway] -= 1
        fleet.connect(shard, leaving, fleet.all() / len(fleet.gateways))
    tell(f"{name}: they are back and more; a tenth reload", fleet)
    fleet.connect(0, sockets // 20, fleet.all() / len(fleet.gateways) * 1.05)
    tell(f"{name}: one shard has 5 % of all sockets", fleet)


def main() -> None:
    """Tell both stories."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.placement", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--gateways", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--sockets", type=int, default=1_000_000)
    parser.add_argument("--bound", type=float, default=1.5, help="a gateway's load over the mean")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{'':44} {'reads a':>8} {'shards a':>8} {'fullest':>8} {'sockets':>8}")
    print(f"{'':44} {'record':>8} {'gateway':>8} {'/ mean':>8} {'moved':>8}")
    for name, ring in (("anywhere", None), ("by shard", Ring(asked.bound))):
        fleet = Fleet(ring, random.Random(asked.seed), set(range(asked.gateways)))
        story(name, fleet, asked.shards, asked.sockets)


if __name__ == "__main__":
    main()
