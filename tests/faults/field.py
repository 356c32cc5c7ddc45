"""Where the faults happen: a whole stack, people who talk all the time, and what all of them saw.

    async with Field(Shape(sessions=100), folder).open() as field:
        await field.suffer(fault)      # as often as wanted
        verdict = await field.settle()

A fault counts only if it bit: at least half of the people had a running answer when it struck, and
the fault itself proves the rest (`NoBite` otherwise).
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
import psycopg

from deploy.local import process_list
from tests import people
from tests.attack.crowd import Tally, crowd
from tests.attack.foe import Target
from tests.faults.talker import Talker, Told
from tests.faults.verdict import Case, Verdict, judge
from tests.faults.watch import Watch
from tests.faults.witnesses import settle
from tests.footprint import Look, look
from tests.people import Person
from tests.scripted_model.control import ModelControl, scripted_model
from tests.stack import RunningStack, running_stack

ENOUGH_RUNNING = 0.5
RUNNING_WITHIN_S = 90.0
RECOVERED_WITHIN_S = 180.0
POLL_S = 0.1
MIB = 1 << 20
MEMORY_MAX_BYTES = {"gateway": 512 * MIB, "worker": 512 * MIB, "persister": 512 * MIB}
"""Far above what is used, far below what grows without a bound."""
SETTINGS = {
    # Hours in a minute: what would be waited for in the field is waited for here, only shorter.
    "TALKLOG_FIRST_TOKEN_TIMEOUT_S": "6",
    "TALKLOG_IDLE_TIMEOUT_S": "10",
    "TALKLOG_MESSAGES_PER_MINUTE": "600",
    # A breaker that opens for one fault would end its neighbours, which are counted here.
    "TALKLOG_BREAKER_FAILURES": "1000",
    "TALKLOG_LOG_LEVEL": "info",
}


class NoBite(AssertionError):
    """The fault did not hit what it was meant to hit, so that its run proves nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How big: people, what they ask for (tokens from … to, tokens a second), and the stack."""

    sessions: int = 100
    tokens: tuple[int, int] = (40, 80)
    rate: int = 6
    rest_s: float = 0.0
    """How long a person rests between two messages, in the mean."""
    brokers: int = 3
    shards: int = 8
    gateways: int = 2
    workers: int = 2
    persisters: int = 2
    outage_s: float = 60.0
    grace_s: int = 30
    """Longer than any answer of the fault tests: who stops lets its answers end."""
    seed: int = 0
    hostile: bool = False
    """One of each kind of attacker is there all the time; people have tokens then."""

    def enough_running(self) -> int:
        """So many answers should run when something strikes."""
        answer_s = sum(self.tokens) / 2 / self.rate
        return int(self.sessions * ENOUGH_RUNNING * answer_s / (answer_s + self.rest_s))


Strike = Callable[["Field"], Awaitable[str]]
"""Does one thing and undoes it, if it does not undo itself. Gives the proof that it bit."""


Tier = Literal["answering", "between", "storing"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can happen; `hits` the one tier that it hits, None: all of them feel it."""

    name: str
    strike: Strike
    hits: Tier | None = None


@dataclass(slots=True)
class Occurrence:
    """One time that a fault happened, over the messages open when it struck or asked meanwhile."""

    fault: str
    bit: str
    running: int
    begun_anew: int = 0
    went_on: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    pauses_s: list[float] = field(default_factory=list)
    recovered_s: float = 0.0
    keys: frozenset[str] = frozenset()


class Field:
    """The stack under fault; made by `open`."""

    def __init__(
        self,
        shape: Shape,
        folder: Path,
        say: Callable[[str], None] = print,
        tree: Path | None = None,
    ) -> None:
        self.shape, self._folder, self.say, self._tree = shape, folder, say, tree
        self.chance = random.Random(shape.seed)
        self.stack: RunningStack
        self.model: ModelControl
        self.watch: Watch
        self.talkers: list[Talker] = []
        self.occurrences: list[Occurrence] = []
        self.most_memory: Counter[str] = Counter()
        self.looks: dict[str, Look] = {}
        self.tally: Tally | None = None
        self.verify_said = ""
        self.verified = False
        self.asking = True
        self.patience_s = RECOVERED_WITHIN_S
        self.given_up: set[str] = set()
        self.epoch = 0
        self._cases: dict[str, Case] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Field"]:
        """Start everything, and the talking."""
        shape = self.shape
        with ExitStack() as held:
            self.model = held.enter_context(scripted_model())
            self.stack = await asyncio.to_thread(
                held.enter_context,
                running_stack(
                    self._folder,
                    servers_only=False,
                    tree=self._tree,
                    OPENAI_BASE_URL=self.model.url,
                    BROKERS=str(shape.brokers),
                    SHARDS=str(shape.shards),
                    GATEWAYS=str(shape.gateways),
                    WORKERS=str(shape.workers),
                    PERSISTERS=str(shape.persisters),
                    LINKS="1",
                    TALKLOG_GRACE_S=str(shape.grace_s),
                    **(SETTINGS | (people.SETTINGS if shape.hostile else {})),
                ),
            )
            self.epoch = self.stack.epoch
            self.watch = Watch(self.stack.file.kafka, shape.shards, self.epoch)
            async with (
                self.watch.following(),
                self._attackers() as self.tally,
                asyncio.TaskGroup() as group,
            ):
                self._start(group)
                try:
                    yield self
                finally:
                    self.asking = False
                    self._end_tasks()

    def _start(self, group: asyncio.TaskGroup) -> None:
        run = f"{self.shape.seed}-{int(time.time()) % 100_000}"
        for number in range(self.shape.sessions):
            chance = random.Random(f"{self.shape.seed} {number}")
            person = Person(f"f{run}-{number}", people.address(0, number))
            talker = Talker(
                self.gateways,
                f"{person.name}-1" if self.shape.hostile else person.name,
                chance,
                self.shape.tokens,
                self.shape.rate,
                person.headers() if self.shape.hostile else None,
                self.shape.rest_s,
            )
            self.talkers.append(talker)
        self._tasks = [group.create_task(self._talk(talker)) for talker in self.talkers]
        self._tasks.append(group.create_task(self._sample_memory()))

    @asynccontextmanager
    async def _attackers(self) -> AsyncIterator[Tally | None]:
        if not self.shape.hostile:
            yield None
            return
        target = Target(self.gateways(), self.epoch, self.shape.shards)
        async with crowd(target, 1, self.shape.seed) as tally:
            yield tally

    async def _talk(self, talker: Talker) -> None:
        await asyncio.sleep(talker.chance.uniform(0, 2.0 + self.shape.rest_s))
        await talker.run(lambda: self.asking)

    def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    # -- what is there now

    def gateways(self) -> list[str]:
        """The public addresses of the gateways, dead ones too."""
        listed = process_list.read(self.stack.state)
        return [each.address for each in listed if each.name.startswith("gateway-")]

    def names(self, kind: str) -> list[str]:
        """The names of the processes of a kind (worker, gateway, persister, kafka)."""
        listed = process_list.read(self.stack.state)
        return [each.name for each in listed if each.name.startswith(kind)]

    def running(self) -> list[Told]:
        """Messages whose answers run, as their readers see it."""
        return [t.now for t in self.talkers if t.now and t.now.state == "generating"]

    def open_messages(self) -> list[Told]:
        """Messages without an end."""
        return [t.now for t in self.talkers if t.now]

    def note(self, when: str) -> None:
        """Note what every process takes now."""
        self.looks[when] = look(self.stack)

    async def until(self, condition: Callable[[], object], within_s: float, what: str) -> None:
        """Wait until it is true. Raises AssertionError, naming `what`."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():  # noqa: ASYNC110 - other processes tell nobody
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"not within {within_s:g} s: {what}") from None

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Ask Postgres directly, past every link."""
        return await asyncio.to_thread(self._sql, statement)

    def _sql(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.stack.file.postgres, connect_timeout=5, autocommit=True) as link:
            cursor = link.execute(statement)
            return cursor.fetchall() if cursor.description else []

    # -- faults

    async def suffer(self, fault: Fault) -> Occurrence:
        """Let it happen at a random moment, and wait until all that was open has ended.

        Raises NoBite; AssertionError if it does not recover in time.
        """
        enough = self.shape.enough_running()
        await self.until(lambda: len(self.running()) >= enough, RUNNING_WITHIN_S, "answers run")
        await asyncio.sleep(self.chance.uniform(0, 2.0))
        struck = [each for each in self.open_messages() if each.key not in self.given_up]
        before = {each.key: (each.begun_anew, each.went_on) for each in struck}
        running = len(self.running())
        loop = asyncio.get_running_loop()
        for each in struck:
            each.pause_s = 0.0
        began = loop.time()
        bit = await fault.strike(self)
        await self._ended(fault, struck)
        await self.until(self._all_ready, RECOVERED_WITHIN_S, f"{fault.name}: all processes ready")
        met = struck + [m for t in self.talkers for m in t.told if m.asked_s >= began]
        occurrence = Occurrence(
            fault.name,
            bit,
            running,
            begun_anew=sum(each.begun_anew > before.get(each.key, (0, 0))[0] for each in met),
            went_on=sum(each.went_on > before.get(each.key, (0, 0))[1] for each in met),
            errors=Counter(each.error for each in met if each.state == "error"),
            pauses_s=[each.pause_s for each in met],
            recovered_s=loop.time() - began,
            keys=frozenset(each.key for each in met),
        )
        self.occurrences.append(occurrence)
        return occurrence

    async def _ended(self, fault: Fault, struck: list[Told]) -> None:
        """Wait until all have ended. What does not is not waited for again: it counts as lost."""
        try:
            await self.until(lambda: all(each.over for each in struck), self.patience_s, "ends")
        except AssertionError:
            left = [each for each in struck if not each.over]
            self.given_up.update(each.key for each in left)
            some = [(each.key, each.state, each.accepted) for each in left[:5]]
            lately = [each.told_lately() for each in self.talkers if each.now in left[:5]]
            text = (
                f"{fault.name}: {len(left)} have no end after {self.patience_s:g} s: {some}\n"
                + "\n".join(lately)
            )
            raise AssertionError(text) from None

    def _all_ready(self) -> bool:
        return all(each.state == "ready" for each in process_list.read(self.stack.state))

    # -- the end

    async def settle(self) -> Verdict:
        """Stop asking, wait until all is answered and stored, and hold everybody to the script."""
        self.asking = False
        with contextlib.suppress(AssertionError):  # what has no end is told by the verdict
            await self.until(self._all_ended, self.patience_s, "ends")
        settled = await settle(self.stack, self.watch, self.model, self.talkers)
        self._cases, self.verified = settled.cases, settled.verified
        self.verify_said = settled.verify_said
        return judge(self._cases.values())

    def wrong(self, times: list[Occurrence]) -> Verdict:
        """What is wrong with the messages that met these; known once it has settled."""
        keys = frozenset[str]().union(*(each.keys for each in times))
        return judge(case for key, case in self._cases.items() if key in keys)

    def too_big(self) -> dict[str, int]:
        """Kinds of processes that took more memory than their bounds allow, with the most taken."""
        most = self.most_memory
        return {kind: most[kind] for kind, limit in MEMORY_MAX_BYTES.items() if most[kind] > limit}

    def _all_ended(self) -> bool:
        return all(each.key in self.given_up for each in self.open_messages())

    async def _sample_memory(self) -> None:
        while True:
            for each in process_list.read(self.stack.state):
                with contextlib.suppress(psutil.Error):
                    used = psutil.Process(each.pid).memory_info().rss if each.pid else 0
                    kind = each.name.rpartition("-")[0] or each.name
                    self.most_memory[kind] = max(self.most_memory[kind], used)
            await asyncio.sleep(1.0)


__all__ = ["Fault", "Field", "NoBite", "Occurrence", "Shape", "Strike", "Tier"]
