"""Every fault there is, and those of which the chaos chooses."""

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


def each_once(seed: int) -> list[Fault]:
    """Every fault in a random order, three at once where no tier is hit twice: CI has little time.

    What all tiers feel happens alone. Of each link it is one of the three ways, all in turn.
    """
    chance = random.Random(seed)
    ways = [NETWORK_WAYS[(number + seed) % len(NETWORK_WAYS)] for number in range(len(LINKS))]
    links = [make(link) for link, make in zip(LINKS, ways, strict=True)]
    faults = [*PROCESSES, *POISON, *SERVERS, *MODEL, *MOMENTS, *TRIMMED, *links]
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
