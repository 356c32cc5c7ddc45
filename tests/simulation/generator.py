"""What happens, chosen by the seed: people and mishaps.

Each seed first chooses which kinds of mishap it has at all, and how often: a rare story needs the
others to keep quiet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.truth import RECENT, Plan, Told

if TYPE_CHECKING:
    from tests.simulation.installation import Installation

MISHAPS = (
    "kill",
    "stall",
    "join",
    "leave",
    "bad_sends",
    "broker_stands",
    "redis_away",
    "flush",
    "postgres_away",
    "persister_stalls",
    "persister_dies",
    "persister_moves",
    "cut",
    "slow_reader",
    "new_tab",
    "close_tab",
    "gateway_dies",
    "gateway_stalls",
    "trim",
)
OPEN_MAX = 30
"""So many messages may be unfinished before the people wait."""
TABS_MAX = 20


@dataclass
class Rates:
    """How often what happens, relative to each other."""

    weights: dict[str, float]
    pause_s: float
    sessions: int
    killing: float


class Generator:
    """Draws the next thing to happen, until it is told to be quiet."""

    def __init__(self, installation: "Installation") -> None:
        self._of = installation
        self.world = installation.world
        self._messages = 0
        self.rates = self._draw_rates()
        self._answers_back = self.world.random.choice([0.0, 0.0, 0.5])
        self._of.truth.on_ended = self._ended
        self.begin()

    def begin(self) -> None:
        """Let things happen, until it is quiet."""
        self.quiet = False
        self._of.broker.latency_s = self.world.random.choice([0.004, 0.004, 0.05, 0.3])
        self._next()

    def _draw_rates(self) -> Rates:
        random = self.world.random
        weights = {"send": 10.0, "cancel": random.choice([0, 1, 3]), "again": random.choice([0, 2])}
        for mishap in MISHAPS:
            weights[mishap] = random.choice([0.0, 0.0, 0.3, 1.0, 2.0])
        return Rates(
            weights,
            random.choice([0.1, 0.5, 1.5]),
            random.choice([1, 2, 4, 12]),
            random.choice([0.0, 0.0, 0.02]),
        )

    def _next(self) -> None:
        if self.quiet:
            return
        names = list(self.rates.weights)
        (name,) = self.world.random.choices(names, list(self.rates.weights.values()))
        act: Callable[[], None] = getattr(self, f"_{name}")
        act()
        self.world.after(self.world.delay(self.rates.pause_s), self._next)

    # -- people

    def _send(self, session: str | None = None) -> None:
        if self._of.open_messages >= OPEN_MAX:
            return
        random = self.world.random
        self._messages += 1
        message_id = f"m{self._messages}"
        session = session or f"s{random.randrange(self.rates.sessions)}"
        on_busy = random.choice(["enqueue", "enqueue", "reject", "interrupt"])
        told = Told(message_id, session, on_busy, self._plan(), f"question {message_id}")
        self._of.truth.planned(told)
        self._of.reader_of(session).say(told)

    def _plan(self) -> Plan:
        random = self.world.random
        ends = random.choice(["stop"] * 6 + ["error", "never"])
        if ends == "never" and self._of.bounds.read_ahead_messages < OPEN_MAX:
            ends = "stop"  # the cancel that ends it might not be read before it has ended
        tokens = random.choice([0, 1, 3, 8, 20])
        every_s = random.choice([0.005, 0.03, 0.3, 2.0])
        if ends == "error":
            tokens += 1
        return Plan(tokens, every_s, ends, kills=random.random() < self.rates.killing)

    def _ended(self, told: Told) -> None:
        """Somebody who sees the end of an answer often says the next thing at once."""
        if not self.quiet and self.world.chance(self._answers_back):
            self.world.after(self.world.delay(0.005), self._send, told.session_id)

    def _cancel(self) -> None:
        told = self._some_message()
        if told is not None:
            self._of.reader_of(told.session_id).cancel(told)

    def _again(self) -> None:
        told = self._some_message()
        if told is not None:
            self._of.reader_of(told.session_id).say(told)

    def _some_message(self) -> Told | None:
        """Mostly one of the last few."""
        last = self._of.truth.of_this_epoch()[-RECENT:]
        return self.world.random.choice(last) if last else None

    # -- mishaps

    def _kill(self) -> None:
        worker = self._of.some_worker()
        if worker is not None:
            worker.crash()

    def _stall(self) -> None:
        worker = self._of.some_worker()
        if worker is not None and not worker.process.stalled:
            for_s = self.world.random.choice([0.5, 3.0, 5.3, 6.0, 8.0, 15.0])
            if for_s > 2:
                self._of.truth.excuse(worker.process.name, "its worker stalled")
            self.world.stall(worker.process, for_s)

    def _join(self) -> None:
        if len(self._of.living()) < 5:
            self._of.add_worker()

    def _leave(self) -> None:
        worker = self._of.some_worker()
        if worker is not None and len(self._of.living()) > 1:
            worker.leave(self.world.random.choice([0.5, 5.0, 600.0]))

    def _bad_sends(self) -> None:
        self._of.broker.bad_sends = self.world.random.choice([0.02, 0.2, 0.5])
        self.world.after(self.world.random.uniform(0.2, 10), self._good_sends)

    def _good_sends(self) -> None:
        self._of.broker.bad_sends = 0.0

    def _broker_stands(self) -> None:
        for_s = self.world.random.choice([0.3, 1.0, 4.0, 8.0])
        self.world.say("broker", f"stands for {for_s} s")
        if for_s > 2:
            self._of.truth.excuse_all("the broker stood")
        self._of.broker.stands_until = max(self._of.broker.stands_until, self.world.now + for_s)

    def _redis_away(self) -> None:
        self._of.redis.away = True
        self.world.say("redis", "is away")
        self.world.after(self.world.delay(3.0), self._redis_back)

    def _redis_back(self) -> None:
        self.world.say("redis", "is back")
        self._of.redis.away = False

    def _flush(self) -> None:
        self.world.say("redis", "forgets everything")
        self._of.redis.flush()

    def _postgres_away(self) -> None:
        self._of.postgres.away = True
        self.world.say("postgres", "is away")
        self.world.after(self.world.delay(5.0), self._postgres_back)

    def _postgres_back(self) -> None:
        self.world.say("postgres", "is back")
        self._of.postgres.away = False

    def _persister_stalls(self) -> None:
        persister = self.world.random.choice(self._of.persisters)
        if not persister.process.stalled:
            self.world.stall(persister.process, self.world.delay(3.0))

    def _persister_dies(self) -> None:
        self._of.kill_persister(self.world.random.choice(self._of.persisters))

    def _persister_moves(self) -> None:
        self._of.move_persister(self.world.random.randrange(self._of.shards))

    def _cut(self) -> None:
        if self._of.readers:
            self.world.random.choice(self._of.readers).cut()

    def _slow_reader(self) -> None:
        if self._of.readers:
            self.world.random.choice(self._of.readers).slow_down(self.world.delay(3.0))

    def _new_tab(self) -> None:
        if self._of.readers and len(self._of.readers) < TABS_MAX:
            self._of.add_reader(self.world.random.choice(self._of.readers).session_id)

    def _close_tab(self) -> None:
        """Only one that has said all it had to say."""
        reader = self.world.random.choice(self._of.readers) if self._of.readers else None
        if reader is not None and reader.settled:
            self._of.close_reader(reader)

    def _gateway_dies(self) -> None:
        if self._of.gateways:
            self._of.kill_gateway(self.world.random.choice(self._of.gateways))

    def _gateway_stalls(self) -> None:
        gateway = self.world.random.choice(self._of.gateways) if self._of.gateways else None
        if gateway is not None and not gateway.process.stalled:
            self.world.stall(gateway.process, self.world.delay(2.0))

    def _trim(self) -> None:
        self._of.trim()
