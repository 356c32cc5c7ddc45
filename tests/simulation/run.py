"""One seed from its beginning to the end."""

import random
from dataclasses import dataclass

from tests.simulation.broken import taken_out
from tests.simulation.generator import Generator
from tests.simulation.installation import Installation
from tests.simulation.world import RuleBroken, World

SECOND_EPOCHS = 0.3
"""So many installations live on with new topics."""
QUIET_S = 400.0
"""How long nothing may end, once nothing more goes wrong."""


@dataclass(frozen=True)
class Run:
    """How a seed went."""

    seed: int
    world: World
    installation: Installation
    broken: str | None

    @property
    def story(self) -> list[str]:
        return [
            f"{at:9.3f}  {who:8} {' '.join(map(str, what))}" for at, who, what in self.world.trace
        ]


def run(
    seed: int,
    steps: int,
    broken: frozenset[str] = frozenset(),
    chance: random.Random | None = None,
) -> Run:
    """Let a seed happen: so many steps with mishaps, then quiet until all has ended.

    With `chance` it decides instead of the seed.
    """
    with taken_out(broken):
        return _run(seed, steps, broken, chance)


def _run(seed: int, steps: int, broken: frozenset[str], chance: random.Random | None) -> Run:
    world = World(seed, broken)
    world.random = chance or world.random
    installation = Installation(
        world, shards=world.random.choice([1, 2, 3]), workers=world.random.choice([1, 2, 3])
    )
    generator = Generator(installation)
    try:
        _live(installation, generator, steps)
        if world.chance(SECOND_EPOCHS):
            _let_repetitions_pass(world)
            installation.make_topics_anew()
            generator.begin()
            _live(installation, generator, world.steps + steps // 2)
    except RuleBroken as error:
        return Run(seed, world, installation, str(error))
    return Run(seed, world, installation, None)


def _live(installation: Installation, generator: Generator, until_steps: int) -> None:
    world = installation.world
    while world.steps < until_steps:
        world.step()
    generator.quiet = True
    world.say("all", "quiet from now on")
    installation.heal()
    _come_to_rest(installation)
    installation.check()


def _let_repetitions_pass(world: World) -> None:
    """A client may be about to say once more what has ended."""
    until = world.now + QUIET_S
    while world.now < until:
        world.step()


def _come_to_rest(installation: Installation) -> None:
    world = installation.world
    open_messages, since = installation.open_messages, world.now
    while world.now < since + QUIET_S and not installation.settled:
        for _ in range(50):
            world.step()
        installation.end_what_never_ends()
        if installation.open_messages != open_messages:
            open_messages, since = installation.open_messages, world.now
