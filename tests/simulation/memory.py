"""What workers know beside the log: the history in Redis, the rows in Postgres."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from workers.actions import LookUp, MessageKey, Store

if TYPE_CHECKING:
    from tests.simulation.worker import Worker
    from tests.simulation.world import World


class Memory:
    """Redis and Postgres, for all workers."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def of(self, worker: "Worker") -> "WorkerMemory":
        return WorkerMemory(self, worker)


class WorkerMemory:
    """One worker's way to them."""

    def __init__(self, memory: Memory, worker: "Worker") -> None:
        self._memory = memory
        self._worker = worker

    def turns(self, shard: int, key: MessageKey, then: Callable[[], None]) -> None:
        self._after(then)

    def store(self, action: Store) -> None:
        def stored() -> None:
            self._worker.intake.stored(action.token, self._memory.world.now)
            self._worker.perform()

        self._after(stored)

    def forgo(self, key: MessageKey) -> None:
        pass

    def over(self, action: LookUp) -> None:
        def looked_up() -> None:
            now = self._memory.world.now
            self._worker.intake.looked_up(action.token, over=False, sure=True, now=now)
            self._worker.perform()

        self._after(looked_up)

    def _after(self, then: Callable[[], None]) -> None:
        world = self._memory.world
        world.after(world.delay(0.005), then, by=self._worker.process)
