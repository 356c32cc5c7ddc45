"""Everything together: broker, group, workers, and the way in."""

from itertools import count
from operator import itemgetter

from schemas.events import Complete
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.simulation.gateway import Gateway
from tests.simulation.group import Group
from tests.simulation.log import Broker
from tests.simulation.memory import Memory
from tests.simulation.persister import Persister
from tests.simulation.postgres import Postgres
from tests.simulation.reader import Reader
from tests.simulation.redis import Redis
from tests.simulation.truth import RECENT, Told, Truth
from tests.simulation.worker import Worker
from tests.simulation.world import RuleBroken, World
from tests.worker_defaults import bounds

EPOCH = 1
YOUNG_S = 40.0


class Installation:
    """One epoch of the topics, and the processes around it."""

    def __init__(self, world: World, *, shards: int, workers: int) -> None:
        self._names = count(1)
        self.world = world
        self.shards = shards
        budget_tokens = world.random.choice([150, 100_000])
        self.truth = Truth(world, budget_tokens)
        self._make_topics(EPOCH)
        self.redis = Redis(world, budget_tokens)
        self.postgres = Postgres(world)
        self.memory = Memory(world, self.broker, self.redis, self.postgres)
        self.persisters: list[Persister] = []
        self._persister_of: dict[int, Persister] = {}
        for _ in range(2):
            self.add_persister()
        for shard in range(shards):
            self.move_persister(shard)
        self.workers: list[Worker] = []
        self._attempts = count(1)
        self.bounds = bounds(
            max_running=world.random.choice([1, 3, 200]),
            read_ahead_messages=world.random.choice([4, 10_000]),
        )
        self.gateways: list[Gateway] = []
        self.readers: list[Reader] = []
        self._tail_max_bytes = world.random.choice([2_000, 20_000, 1 << 20])
        for _ in range(workers):
            self.add_worker()
        for _ in range(2):
            self.add_gateway()

    def _make_topics(self, epoch: int) -> None:
        self.broker = Broker(self.world, epoch, self.shards)
        for log in self.broker.users:
            log.on_append = self.truth.user_record
        for log in self.broker.sessions:
            log.on_append = self.truth.session_record
        self.group = Group(self.world, self.shards, self.truth)

    def make_topics_anew(self) -> None:
        """As an operator does it: when all is stored, everything stops; the epoch is raised."""
        for log in [*self.broker.users, *self.broker.sessions]:
            log.on_append = lambda log, record: None
        for process in [p.process for p in self.workers] + [p.process for p in self.persisters]:
            self.world.kill(process)
        gateways, self.gateways = self.gateways, []
        for gateway in gateways:
            gateway.die()
        self.world.say("all", "the topics are made anew")
        self._make_topics(self.broker.epoch + 1)
        self.truth.topics_made_anew()
        self.memory.broker = self.broker
        self.postgres.positions.clear()  # each is of the epoch before
        self.workers, self.persisters, self._persister_of = [], [], {}
        for _ in range(2):
            self.add_persister()
            self.add_worker()
            self.add_gateway()
        for shard in range(self.shards):
            self.move_persister(shard)

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

    # -- persisters

    def add_persister(self) -> None:
        name = f"P{next(self._names)}"
        batch = self.world.random.choice([1, 10, 500])
        self.persisters.append(
            Persister(name, self.world, self.broker, self.postgres, batch, self.persister_shards)
        )

    def move_persister(self, shard: int) -> None:
        """Another one takes over; the one before may hear of it much later."""
        before = self._persister_of.get(shard)
        after = self._persister_of[shard] = self.world.random.choice(self.persisters)
        after.hear_of_shards(0.0)
        if before is not None and before is not after:
            before.hear_of_shards(self.world.delay(0.5))

    def persister_shards(self, persister: Persister) -> set[int]:
        """Give the shards that belong to it, by the group's last word."""
        return {shard for shard, owner in self._persister_of.items() if owner is persister}

    def kill_persister(self, persister: Persister) -> None:
        self.world.kill(persister.process)
        self.persisters.remove(persister)
        self.add_persister()
        for shard, owner in self._persister_of.items():
            if owner is persister:
                self.move_persister(shard)

    # -- gateways and readers

    def add_gateway(self) -> None:
        name = f"G{next(self._names)}"
        self.gateways.append(
            Gateway(name, self.world, self.broker, self.redis, self.postgres, self._tail_max_bytes)
        )

    def kill_gateway(self, gateway: Gateway) -> None:
        self.gateways.remove(gateway)
        gateway.die()
        self.world.after(self.world.delay(1.0), self._add_gateway_if_few)

    def _add_gateway_if_few(self) -> None:
        if len(self.gateways) < 2:
            self.add_gateway()

    def add_reader(self, session_id: str, history: int | None = None) -> Reader:
        """Open a tab; without `history` it asks for as much as chance will have it."""
        name = f"R{next(self._names)}"
        if history is None:
            history = self.world.random.choice([0, 0, 2, 1000])
        reader = Reader(name, session_id, history, self.world, self.truth, lambda: self.gateways)
        self.readers.append(reader)
        return reader

    def reader_of(self, session_id: str) -> Reader:
        """Give some tab of the session; there is always one."""
        readers = [reader for reader in self.readers if reader.session_id == session_id]
        return self.world.random.choice(readers) if readers else self.add_reader(session_id)

    def close_reader(self, reader: Reader) -> None:
        self.readers.remove(reader)
        reader.close()

    # -- the log's retention

    def trim(self) -> None:
        """Drop what is stored, acknowledged and over, as retention does after days."""
        needed = {told.message_id for told in self.truth.of_this_epoch()[-RECENT:]}
        needed |= {message_id for reader in self.readers for message_id in reader.view.own}
        for log in self.broker.sessions:
            firsts = [
                told.first_event
                for told in self.truth.of_this_epoch()
                if told.shard == log.shard
                and told.first_event is not None
                and (self._is_open(told) or told.message_id in needed or self._is_young(told))
            ]
            log.trim(min([self.postgres.positions.get((SESSION_LOG, log.shard), 0), *firsts]))
            for told in self.truth.of_this_epoch():
                if told.shard == log.shard and told.ended_at is not None:
                    told.trimmed = told.ended_at < log.start

    def _is_open(self, told: Told) -> bool:
        """Whether a worker may be given it again."""
        return told.last_offset is None or told.last_offset >= self.group.committed[told.shard]

    def _is_young(self, told: Told) -> bool:
        """Whether something that repeats it may still be under way."""
        return told.ended_when is None or told.ended_when > self.world.now - YOUNG_S

    # -- the end

    def heal(self) -> None:
        """No more mishaps, and nobody waits for what never ends."""
        self.broker.bad_sends = 0.0
        self.redis.away = self.postgres.away = False
        for process in [p.process for p in self.persisters] + [g.process for g in self.gateways]:
            self.world.wake(process)
        for told in self.truth.messages.values():
            self.reader_of(told.session_id)
        for worker in self.workers:
            self.world.wake(worker.process)
        while len(self.living()) < 2:
            self.add_worker()
        self.end_what_never_ends()

    def end_what_never_ends(self) -> None:
        """Cancel endless answers that nobody has stopped."""
        for told in self.truth.messages.values():
            if told.plan.ends == "never" and not told.cancelled and not told.interrupted:
                self.reader_of(told.session_id).cancel(told)

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
        acknowledged = all(self.group.committed[log.shard] == log.end for log in self.broker.users)
        stored = all(
            self.postgres.positions.get((topic, log.shard), 0) == log.end
            for topic, logs in (
                (USER_MESSAGES, self.broker.users),
                (SESSION_LOG, self.broker.sessions),
            )
            for log in logs
        )
        if not (ended and acknowledged and stored) or self.still_running():
            return False
        return all(reader.settled for reader in self.readers)

    def still_running(self) -> list[str]:
        """Give what processes do though it is over."""
        return [
            f"{worker.process.name} {key.message_id}"
            for worker in self.workers
            if worker.process.alive
            for key in worker.answers
            if self.truth.messages[key.message_id].terminal is not None
        ]

    def check(self) -> None:
        """What must hold at the end."""
        for told in self.truth.messages.values():
            if told.offset is None and told.accepted:
                raise RuleBroken(f"{told.message_id} was accepted, and is in no log")
            if told.offset is not None and told.terminal is None:
                raise RuleBroken(f"{told.message_id} has not ended")
        if not self.settled:
            waiting = {r.process.name: r.waiting for r in self.readers if not r.settled}
            raise RuleBroken(
                f"not to the end: {self.group.committed}, {self.postgres.positions}, "
                f"running {self.still_running()}, waiting {waiting}"
            )
        for told in self.truth.messages.values():
            if told.terminal is not None:
                self._check_rows(told)
        for reader in self.readers:
            reader.check_end()

    def _check_rows(self, told: Told) -> None:
        row = self.postgres.answers.get((told.session_id, told.message_id))
        if row is None or row["state"] not in ("complete", "error"):
            raise RuleBroken(f"{told.message_id} has not ended in the rows: {row}")
        text = self.postgres.text_of(told.session_id, lambda mid: mid == told.message_id)
        if text != told.text:
            raise RuleBroken(f"{told.message_id} is stored as {text!r}, not {told.text!r}")
        last = [
            is_complete
            for chunk, _, is_complete in sorted(self.postgres.chunks.values(), key=itemgetter(1))
            if chunk.message_id == told.message_id
        ]
        complete = isinstance(told.terminal, Complete)
        if last and (last[-1] is not complete or any(last[:-1])):
            raise RuleBroken(f"{told.message_id}: is_complete is {last}")
