"""Every fault there is, those of which the chaos chooses, and the fair sample that CI meets."""

import asyncio
import random
from collections.abc import Sequence
from itertools import zip_longest
from typing import get_args

from tests.faults.field import Fault, Field, Tier
from tests.faults.kinds import MODEL, PROCESSES, SERVERS
from tests.faults.network import LINKS, MOMENTS, NETWORK, NETWORK_WAYS
from tests.faults.poison import POISON
from tests.faults.trimmed import TRIMMED

FAULTS = (*PROCESSES, *POISON, *SERVERS, *MODEL, *MOMENTS, *TRIMMED, *NETWORK)
CHAOS = (*PROCESSES, *SERVERS, *MOMENTS)


CORE = tuple(fault for fault in (*PROCESSES, *SERVERS) if fault.name.endswith(", kill -9"))
"""kill -9 of each tier: what CI meets every time."""
SHARES = 3
"""CI meets the rest in so many turns."""


def sample(seed: int) -> list[Fault]:
    """What CI meets: the core, and a share of the rest, which seeds in a row take in turn.

    Up to three at once where no tier is hit twice, for CI has little time; what all tiers feel
    happens alone. Of each link it is one of the three ways, in turn too. The order is random.
    """
    turn, share = divmod(seed, SHARES)
    ways = [NETWORK_WAYS[(number + turn) % len(NETWORK_WAYS)] for number in range(len(LINKS))]
    links = [make(link) for link, make in zip(LINKS, ways, strict=True)]
    others = [*PROCESSES, *POISON, *SERVERS, *MODEL, *MOMENTS, *TRIMMED, *links]
    rest = sorted((each for each in others if each not in CORE), key=lambda each: str(each.hits))
    chance = random.Random(seed)
    faults = [*CORE, *rest[share::SHARES]]
    chance.shuffle(faults)
    tiers = [[each for each in faults if each.hits == tier] for tier in get_args(Tier)]
    plan = [each for each in faults if each.hits is None]
    plan += [_at_once([each for each in some if each]) for some in zip_longest(*tiers)]
    chance.shuffle(plan)
    return plan


def _at_once(faults: Sequence[Fault]) -> Fault:
    async def strike(field: Field) -> str:
        struck = (each.strike(field) for each in faults)
        done = await asyncio.gather(*struck, return_exceptions=True)  # each undoes what it did
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return "; ".join(map(str, done))

    return Fault(" + ".join(each.name for each in faults), strike)
