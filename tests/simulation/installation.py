"""Everything together: broker, group, workers, and the way in."""

from itertools import count

from schemas.events import Cancel, UserMessage
from schemas.topics import shard_of
from tests.simulation.group import Group
from tests.simulation.log import Broker, Producer
from tests.simulation.memory import Memory
from tests.simulation.truth import Told, Truth
from tests.simulation.worker import Worker
from tests.simulation.world import Process, RuleBroken, World, at
from workers.held import Bounds

EPOCH = 1


class Installation:
    """One epoch of the topics, and the processes around it."""

    def __init__(self, world: World, *, shards: int = 2, workers: int = 2) -> None:
        self.world = world
        self.shards = shards
        self.truth = Truth(world)
        self.broker = Broker(world, EPOCH, shards)
        for log in self.broker.users:
            log.on_append = self.truth.user_record
        for log in self.broker.sessions:
            log.on_append = self.truth.session_record
        self.group = Group(world, shards, self.truth)
        self.memory = Memory(world)
        self.workers: list[Worker] = []
        self._names = count(1)
        self._attempts = count(1)
        self._door = Process("door")
        self.bounds = Bounds(
            max_running=world.random.choice([1, 3, 200]),
            read_ahead_messages=world.random.choice([4, 10_000]),
        )
        for _ in range(workers):
            self.add_worker()

    # -- workers

    def add_worker(self) -> Worker:
        worker = Worker(
            f"W{next(self._names)}",
            self.world,
            self.broker,
            self.group,
            self.truth,
            self.memory,
            self.bounds,
            lambda: f"a{next(self._attempts)}",
        )
        worker.on_crash = self._start_another_soon
        self.workers.append(worker)
        return worker

    def _start_another_soon(self) -> None:
        self.world.after(self.world.delay(2.0), self.add_worker_if_few)

    def add_worker_if_few(self) -> None:
        if len(self.living()) < 2:
            self.add_worker()

    def living(self) -> list[Worker]:
        self.workers = [worker for worker in self.workers if worker.process.alive]
        return [worker for worker in self.workers if not worker.leaving]

    def some_worker(self) -> Worker | None:
        living = self.living()
        return self.world.random.choice(living) if living else None

    # -- the way in

    def submit(self, told: Told) -> None:
        log = self.broker.users[shard_of(told.session_id, self.shards)]
        event = UserMessage(
            session_id=told.session_id,
            message_id=told.message_id,
            created_at=at(self.world.now_ms),
            content=told.content,
            on_busy=told.on_busy,  # type: ignore[arg-type]
        )

        def answered(offset: int | None) -> None:
            told.accepted = told.accepted or offset is not None

        Producer(self.broker, self._door).send(log, event, answered)

    def cancel(self, told: Told) -> None:
        if told.offset is None:
            return
        log = self.broker.users[told.shard]
        event = Cancel(
            session_id=told.session_id, message_id=told.message_id, created_at=at(self.world.now_ms)
        )
        Producer(self.broker, self._door).send(log, event, lambda _: None)

    # -- the end

    def heal(self) -> None:
        """No more mishaps, and nobody waits for what never ends."""
        self.broker.bad_sends = 0.0
        for worker in self.workers:
            self.world.wake(worker.process)
        while len(self.living()) < 2:
            self.add_worker()
        self.end_what_never_ends()

    def end_what_never_ends(self) -> None:
        """Cancel endless answers that nobody has stopped."""
        for told in self.truth.messages.values():
            if told.plan.ends == "never" and not told.cancelled and not told.interrupted:
                self.cancel(told)

    @property
    def open_messages(self) -> int:
        return sum(told.terminal is None for told in self.truth.messages.values())

    @property
    def settled(self) -> bool:
        """Whether all that was said has ended, and is acknowledged."""
        ended = all(
            told.terminal is not None
            for told in self.truth.messages.values()
            if told.offset is not None
        )
        return ended and all(
            self.group.committed[log.shard] == log.end for log in self.broker.users
        )

    def check(self) -> None:
        """What must hold at the end."""
        for told in self.truth.messages.values():
            if told.offset is None and told.accepted:
                raise RuleBroken(f"{told.message_id} was accepted, and is in no log")
            if told.offset is not None and told.terminal is None:
                raise RuleBroken(f"{told.message_id} has not ended")
        if not self.settled:
            raise RuleBroken(f"not acknowledged to the end: {self.group.committed}")
