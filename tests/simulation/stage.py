"""A stage for stories: nothing is left to chance, every delay is the mean, a test says the rest."""

import random
from collections.abc import Callable, MutableSequence, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

from schemas.events import Prompt, Status, UserMessage, encode
from schemas.transcript import Fence
from tests.simulation.answer import AT
from tests.simulation.broken import taken_out
from tests.simulation.installation import Installation
from tests.simulation.reader import Reader
from tests.simulation.truth import Plan, Told
from tests.simulation.world import RuleBroken, World, at
from tests.worker_defaults import bounds

T = TypeVar("T")


class _Fixed(random.Random):
    """The middle of everything; of a group's members the last that came is the first."""

    def random(self) -> float:
        return 0.99

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def expovariate(self, lambd: float = 1.0) -> float:
        return 1 / lambd

    def randint(self, a: int, b: int) -> int:
        return b

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        return seq[-1]

    def shuffle(self, x: MutableSequence[Any]) -> None:
        x.reverse()


class Stage:
    """One shard, one worker, one session `s` with a reader. Use within `with`."""

    def __init__(self, *broken: str) -> None:
        self._broken = frozenset(broken)
        self._rules = ExitStack()
        self.world = World(0, self._broken)
        self.world.random = _Fixed()
        self.world.timers_first = True
        self.of = Installation(self.world, shards=1, workers=1)
        self.of.bounds = bounds()
        self.truth = self.of.truth
        self.reader = self.of.add_reader("s", history=1000)

    def __enter__(self) -> "Stage":
        self._rules.enter_context(taken_out(self._broken))
        self.until(0.2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rules.close()

    # -- what a story says

    def message(
        self,
        message_id: str,
        on_busy: str = "enqueue",
        *,
        tokens: int = 3,
        every_s: float = 0.01,
        ends: str = "stop",
    ) -> Told:
        """Know of a message, without anybody saying it yet."""
        plan = Plan(tokens, every_s, ends)
        told = Told(message_id, "s", on_busy, plan, f"question {message_id}")
        self.truth.planned(told)
        return told

    def says(self, told: Told) -> Told:
        """The message stands in the log, at once."""
        event = UserMessage(
            session_id="s",
            message_id=told.message_id,
            created_at=at(self.world.now_ms),
            content=told.content,
            on_busy=told.on_busy,
        )
        self.of.broker.users[0].append("s", encode(event), self.world.now_ms)
        return told

    def late_start(self, told: Told, attempt: str, fence: Fence) -> None:
        """A start of a process that was thought dead lands now."""
        prompt = Prompt(content=told.content, created_at=AT)
        event = Status(
            session_id="s",
            message_id=told.message_id,
            created_at=AT,
            state="generating",
            attempt=attempt,
            fence=fence,
            prompt=prompt,
        )
        self.of.broker.sessions[0].append("s", encode(event), self.world.now_ms)

    def opens_a_tab(self, history: int = 0) -> Reader:
        return self.of.add_reader("s", history=history)

    # -- time

    def until(self, moment: float) -> None:
        while self.world.now < moment:
            self.world.step()

    def passes(self, seconds: float) -> None:
        self.until(self.world.now + seconds)

    def when(self, condition: Callable[[], bool], limit_s: float = 100.0) -> None:
        """Go on until something is so."""
        until = self.world.now + limit_s
        while not condition():
            assert self.world.now < until, "it never came to that"
            self.world.step()

    def ended(self, told: Told) -> bool:
        return told.terminal is not None

    def comes_to_rest(self) -> None:
        """Let everything end, and look at what everybody has."""
        until = self.world.now + 200
        while self.world.now < until and not self.of.settled:
            self.world.step()
        self.of.check()


__all__ = ["RuleBroken", "Stage"]
