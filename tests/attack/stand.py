"""A stack under attack: first a quiet part, then the attackers, and what everybody saw.

async with Stand(Shape(), folder).open() as stand:
    stand.begin("quiet")
    await asyncio.sleep(60)
    stand.begin("attack")
    async with stand.attacked():
        await asyncio.sleep(600)
    seen = await stand.settle()
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from aiohttp import web

from deploy.local import process_list
from tests.attack.crowd import Tally, crowd
from tests.attack.foe import Target
from tests.attack.honest import Felt, Honest
from tests.faults.verdict import Verdict, judge
from tests.faults.watch import Watch
from tests.faults.witnesses import settle
from tests.footprint import Look, look
from tests.http_backend import serving
from tests.people import SETTINGS, Person, address
from tests.scripted_model.control import ModelControl, scripted_model
from tests.stack import RunningStack, running_stack
from tests.unit.gateway.identity.minted import owner, published
from tests.waiting import WITHIN_S

SHARDS = 8
# So little that who never reads is left behind, and that old cursors need the log itself.
DEFAULTS = {"TALKLOG_SHARD_LOG_BYTES": str(4 << 20)}
WARM_WITHIN_S = 120.0
FIRST_S = 2.0
"""People begin within this, not all at once."""
COUNTED = ("closed_total", "limited_total", "refused_total", "strangers_dropped", "frames_held")
FAILED = ("Traceback (most recent call last)", "exception was never retrieved", " handler failed")
"""What stands in the log of a process in which something was raised that nobody took."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many people and attackers, and what people ask for: tokens from … to, tokens a second."""

    honest: int = 100
    foes: int = 100
    tokens: tuple[int, int] = (40, 80)
    rate: int = 6
    seed: int = 0
    aside: bool = False
    """Attackers take the CPU that nobody else wants, as if they had machines of their own."""


@dataclass(slots=True)
class Seen:
    """All that was seen, known once it has settled."""

    verdict: Verdict
    verified: bool
    verify_said: str
    answers: int
    restarts: dict[str, int]
    raised: list[str]
    key_sets_read: int
    counted: dict[str, float]
    """What the gateways counted of it."""


class Stand:
    """Made by `open`; `settings` are the stack's, beside those that it needs."""

    def __init__(self, shape: Shape, folder: Path, **settings: str) -> None:
        self.shape, self._folder, self._settings = shape, folder, settings
        self.felt: dict[str, Felt] = {}
        self.looks: dict[str, Look] = {}
        self.loads: dict[str, tuple[float, float, float]] = {}
        self.honest: list[Honest] = []
        self.stack: RunningStack
        self.model: ModelControl
        self.tally = Tally()
        self._now = Felt()
        self._key_sets_read = 0
        self._asking = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stand"]:
        """Start everything, and the talking."""
        with ExitStack() as held:
            async with serving("GET", "/keys", self._give_keys) as keys:
                self.model = held.enter_context(scripted_model())
                self.stack = await asyncio.to_thread(
                    held.enter_context,
                    running_stack(
                        self._folder,
                        servers_only=False,
                        OPENAI_BASE_URL=self.model.url,
                        GATEWAYS="2",
                        WORKERS="2",
                        SHARDS=str(SHARDS),
                        TALKLOG_JWT_JWKS=f"{keys}/keys",
                        **(DEFAULTS | SETTINGS | self._settings),
                    ),
                )
                async with asyncio.TaskGroup() as tasks:
                    self._start(tasks)
                    try:
                        yield self
                    finally:
                        self._asking = False
                        for each in self._tasks:
                            each.cancel()

    async def _give_keys(self, _: web.Request) -> web.Response:
        self._key_sets_read += 1
        return web.Response(body=published(owner("ES256")), content_type="application/json")

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        run = f"s{self.shape.seed}t{int(time.time()) % 100_000}"
        urls = [each.url for each in self.stack.file.gateways]
        for number in range(self.shape.honest):
            person = Person(f"{run}x{number:03}", address(0, number))
            chance = random.Random(f"{self.shape.seed} {number}")
            asks = self.shape.tokens, self.shape.rate
            self.honest.append(Honest(lambda: urls, person, chance, *asks, lambda: self._now))
        self._tasks = [tasks.create_task(self._talk(each)) for each in self.honest]

    async def _talk(self, honest: Honest) -> None:
        await asyncio.sleep(honest.chance.uniform(0, FIRST_S))
        await honest.run(lambda: self._asking)

    # -- the parts

    async def warm(self) -> None:
        """Wait until everybody has had an answer."""
        await self.everybody_has(1, WARM_WITHIN_S)

    async def everybody_has(self, answers: int, within_s: float = WITHIN_S) -> None:
        """Wait until everybody has had so many answers more."""
        wanted = {each: self._answers_of(each) + answers for each in self.honest}

        def had() -> bool:
            return all(self._answers_of(each) >= count for each, count in wanted.items())

        async with asyncio.timeout(within_s):
            while not had():  # noqa: ASYNC110 - people tell nobody
                await asyncio.sleep(0.1)

    def _answers_of(self, honest: Honest) -> int:
        return sum(each.over for each in honest.told)

    def begin(self, part: str) -> None:
        """What is felt from now on belongs to this part."""
        self._now = self.felt[part] = Felt()

    def note(self, when: str) -> None:
        """Note what every process takes, and how busy the machine is."""
        self.looks[when], self.loads[when] = look(self.stack), os.getloadavg()

    @asynccontextmanager
    async def attacked(self) -> AsyncIterator[Tally]:
        """Let them all loose until the block ends."""
        urls = [each.url for each in self.stack.file.gateways]
        target = Target(urls, self.stack.epoch, SHARDS)
        shape = self.shape
        async with crowd(target, shape.foes, shape.seed, aside=shape.aside) as self.tally:
            yield self.tally

    # -- the end

    async def settle(self) -> Seen:
        """Stop asking, wait until all is answered and stored, and hear every witness."""
        self._asking = False
        await asyncio.wait(self._tasks, timeout=WITHIN_S)
        watch = Watch(self.stack.file.kafka, SHARDS, self.stack.epoch)
        async with watch.following():
            settled = await settle(self.stack, watch, self.model, self.honest)
        return Seen(
            judge(settled.cases.values()),
            settled.verified,
            settled.verify_said,
            len(settled.cases),
            {each.name: each.restarts for each in process_list.read(self.stack.state)},
            self._raised(),
            self._key_sets_read,
            await asyncio.to_thread(_counted, [each.admin for each in self.stack.file.gateways]),
        )

    def _raised(self) -> list[str]:
        """Give the lines of the services' logs that tell of an exception nobody took."""
        return [
            f"{path.name}: {line[:120]} … {line[-400:]}"
            for path in sorted((self.stack.state / "logs").glob("*-[0-9].log"))
            if path.name.startswith(("gateway", "worker", "persister"))
            for line in path.read_text(errors="replace").splitlines()
            if any(words in line for words in FAILED)
        ]


def _counted(admins: Sequence[str]) -> dict[str, float]:
    """Add up what the gateways' metrics say of refusals and ends."""
    counted: defaultdict[str, float] = defaultdict(float)
    for admin in admins:
        with urlopen(f"{admin}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                name, _, value = line.removeprefix("talklog_gateway_").rpartition(" ")
                if name.startswith(COUNTED):
                    counted[name] += float(value)
    return dict(counted)
