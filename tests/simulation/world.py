"""Clock, event queue and processes: one seed, one order of events."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from typing import Any

Call = tuple[Callable[..., None], tuple[Any, ...], bool]


def at(now_ms: int) -> str:
    """Give a moment as events carry it."""
    moment = datetime.fromtimestamp(1_700_000_000 + now_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RuleBroken(AssertionError):
    """Something happened that must never happen."""


@dataclass(eq=False)
class Process:
    """Something that runs, stalls (SIGSTOP) or dies (kill -9). What is its own, happens in it."""

    name: str
    alive: bool = True
    stalled: bool = False
    backlog: list[Call] = field(default_factory=list)


class World:
    """The event queue. `broken` names rules that are taken out, to see that something notices."""

    def __init__(self, seed: int, broken: frozenset[str] = frozenset()) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.broken = broken
        self.steps = 0
        self.timers_first: bool | None = None  # after a stall; None: as it happens
        self.trace: list[tuple[float, str, tuple[object, ...]]] = []
        self._queue: list[tuple[float, int, Process | None, Call]] = []
        self._count = count()

    @property
    def now_ms(self) -> int:
        return int(self.now * 1000)

    def say(self, who: str, *what: object) -> None:
        self.trace.append((self.now, who, what))

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def delay(self, mean_s: float) -> float:
        """Mostly about the mean, sometimes much longer."""
        return min(self.random.expovariate(1 / mean_s), 20 * mean_s)

    def after(
        self,
        delay_s: float,
        function: Callable[..., None],
        *arguments: Any,
        by: Process | None = None,
        timer: bool = False,
    ) -> None:
        """Call later, in process `by`. Timers pass time only, and are not counted as steps."""
        at = self.now + delay_s
        heappush(self._queue, (at, next(self._count), by, (function, arguments, timer)))

    def step(self) -> None:
        at, _, process, call = heappop(self._queue)
        self.now = max(self.now, at)
        if process is not None:
            if not process.alive:
                return
            if process.stalled:
                process.backlog.append(call)
                return
        function, arguments, timer = call
        self.steps += not timer
        function(*arguments)

    def stall(self, process: Process, for_s: float) -> None:
        self.say(process.name, f"stalls for {for_s:.1f} s")
        process.stalled = True
        self.after(for_s, self.wake, process)

    def wake(self, process: Process) -> None:
        """What came meanwhile is there at once, in no certain order; often the timers are first."""
        if not process.stalled:
            return
        self.say(process.name, "wakes")
        process.stalled = False
        backlog, process.backlog = process.backlog, []
        timers_first = self.chance(0.5) if self.timers_first is None else self.timers_first
        for function, arguments, timer in backlog:
            delay_s = 0.0 if timer and timers_first else self.random.random() * 0.02
            self.after(delay_s, function, *arguments, by=process, timer=timer)

    def kill(self, process: Process) -> None:
        self.say(process.name, "is killed")
        process.alive = False
        process.backlog.clear()
