"""Every fault there is, and those of which the chaos chooses."""

import random

from tests.faults.field import Fault
from tests.faults.kinds import MODEL, PROCESSES, SERVERS
from tests.faults.network import LINKS, MOMENTS, NETWORK, NETWORK_WAYS
from tests.faults.poison import POISON
from tests.faults.trimmed import TRIMMED

FAULTS = (*PROCESSES, *POISON, *SERVERS, *MODEL, *MOMENTS, *TRIMMED, *NETWORK)
CHAOS = (*PROCESSES, *SERVERS, *MOMENTS)


def each_once(seed: int) -> list[Fault]:
    """Every fault, in a random order; of each link one of the three, so that all come in turn.

    Without the poison message, which takes minutes: `make test-faults` has it, and its rule is held
    by tests/unit/workers (a poison message costs its neighbours one start).
    """
    chance = random.Random(seed)
    ways = [NETWORK_WAYS[(number + seed) % len(NETWORK_WAYS)] for number in range(len(LINKS))]
    links = [make(link) for link, make in zip(LINKS, ways, strict=True)]
    plan = [*PROCESSES, *SERVERS, *MODEL, *MOMENTS, *TRIMMED, *links]
    chance.shuffle(plan)
    return plan
