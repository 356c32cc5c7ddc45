"""What an event costs the intake with 10², 10³, 10⁴ and 10⁵ messages waiting: no I/O, one core.

    python -m tests.bench.intake_growth

Each size gets an intake of its own: all messages are delivered, looked up and judged, then so many
answers run from start to end. Printed are the CPU of an event in both phases, and the longest time
that one call held the loop.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from schemas.events import Chunk, Complete, Prompt, Status, UserMessage, encode
from schemas.shard_log import Record
from tests.worker_defaults import bounds
from workers.intake import actions
from workers.intake.actions import AttemptEnd, Delivery, MessageKey
from workers.intake.intake import Intake

SIZES = (100, 1_000, 10_000, 100_000)
SHARDS = 8
ANSWERS = 2_000
AT = "2026-01-01T00:00:00.000Z"


@dataclass
class Shell:
    """Performs actions at once, and notes what each call of the intake has cost."""

    sessions: int
    intake: Intake = field(init=False)
    now_s: float = 1_000.0
    took_s: list[float] = field(default_factory=list)
    running: deque[actions.Start] = field(default_factory=deque)
    log: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    ended: int = 0
    to_follow: list[int] = field(default_factory=list)
    to_perform: deque[actions.Action] = field(default_factory=deque)

    def __post_init__(self) -> None:
        ids = iter(range(1 << 60))
        large = {"read_ahead_messages": 1 << 30, "read_ahead_bytes": 1 << 40}
        self.intake = Intake(epoch=1, bounds=bounds(**large), new_id=lambda: f"a{next(ids)}")

    def call(self, function: str, *arguments: object, **named: object) -> None:
        began_s = time.thread_time()
        getattr(self.intake, function)(*arguments, **named)
        taken = self.intake.take()
        self.took_s.append(time.thread_time() - began_s)
        self.to_perform.extend(taken)

    def settle(self) -> None:
        """Perform all that the intake wants, and what it wants thereupon."""
        while self.to_perform or self.intake.unjudged:
            while self.to_perform:
                self.perform(self.to_perform.popleft())
            if self.intake.unjudged:
                self.call("go_on", self.now_s)

    def perform(self, action: actions.Action) -> None:
        match action:
            case actions.Follow(shard):
                self.to_follow.append(shard)
            case actions.AskEnd(shard, asked):
                self.call("end_known", shard, asked, self.log.get(shard, 0), self.now_s)
            case actions.LookUp(token):
                self.call("looked_up", token, over=False, sure=True, now_s=self.now_s)
            case actions.Write(token, shard):
                self.call("written", token, action.event, self.log.get(shard, 0), self.now_s)
            case actions.Store(token):
                self.call("stored", token, self.now_s)
            case actions.Start():
                self.running.append(action)

    def records(self, shard: int, *events: Status | Chunk | Complete) -> None:
        first = self.log.get(shard, 0)
        self.log[shard] = first + len(events)
        batch = [
            Record(first + n, 1_000_000, event.session_id, encode(event))
            for n, event in enumerate(events)
        ]
        self.call("records", shard, batch, self.now_s)

    def deliver(self, number: int) -> None:
        session = f"s{number % self.sessions}"
        message = UserMessage(
            session_id=session, message_id=f"m{number}", created_at=AT, content="?"
        )
        shard = (number % self.sessions) % SHARDS
        self.call("delivered", self.delivery(shard, message), self.now_s)
        self.settle()

    def delivery(self, shard: int, message: UserMessage) -> Delivery:
        offset = self.offsets[shard] = self.offsets.get(shard, -1) + 1
        return Delivery(
            shard=shard,
            offset=offset,
            generation=1,
            timestamp_ms=1_000_000,
            size_bytes=100,
            event=message,
        )

    def answer(self) -> None:
        """Let the answer that has run longest say three chunks and end."""
        start = self.running.popleft()
        message, attempt = start.message, start.attempt
        key = MessageKey(message.session_id, message.message_id)
        of: dict[str, Any] = {
            "session_id": message.session_id,
            "message_id": message.message_id,
            "created_at": AT,
        }
        self.call("started", key, attempt)
        prompt = Prompt(content=message.content, created_at=AT)
        begins = Status(**of, state="generating", attempt=attempt, fence=start.fence, prompt=prompt)
        self.records(start.shard, begins)
        for sequence in range(1, 4):
            chunk = Chunk(**of, attempt=attempt, sequence=sequence, content="x")
            self.records(start.shard, chunk)
        self.call(
            "answered",
            key,
            attempt,
            AttemptEnd.TERMINAL,
            self.log.get(start.shard, 0),
            self.now_s,
        )
        end = Complete(**of, attempt=attempt, last_sequence=3, finish_reason="stop")
        self.records(start.shard, end)
        self.settle()
        self.ended += 1

    def follow(self) -> None:
        """The session log is read from now on."""
        while self.to_follow:
            self.call("following", self.to_follow.pop(), 0, self.now_s)
            self.settle()

    def tick(self) -> None:
        self.now_s += 0.1
        self.call("tick", self.now_s)
        self.settle()


@dataclass(frozen=True)
class Cost:
    """µs an event, and what one call holds the loop for in ms, of one phase."""

    event_us: float
    p99_ms: float
    longest_ms: float


def cost_of(took_s: list[float]) -> Cost:
    ms = sorted(1e3 * each for each in took_s)
    return Cost(1e3 * sum(ms) / len(ms), ms[int(len(ms) * 0.99)], ms[-1])


def measured(messages: int, sessions: int, *, folded_late: bool) -> tuple[Cost, Cost]:
    shell = Shell(sessions)
    shell.call("assigned", range(SHARDS), shell.now_s)
    for number in range(messages):
        shell.deliver(number)
        if not folded_late:
            shell.follow()
        if number % 1_000 == 999:
            shell.tick()
    shell.follow()
    taking_in, shell.took_s = cost_of(shell.took_s), []
    while shell.running and shell.ended < min(messages, ANSWERS):
        shell.answer()
        if shell.ended % 20 == 0:
            shell.tick()
    return taking_in, cost_of(shell.took_s)


CASES = (
    ("a session each", 1, False),
    ("folded at the end", 1, True),
    ("400 a session", 400, False),
)


def main() -> None:
    print(f"{'waiting':>8}  {'':<18} {'taken in':>22} {'answered':>22}")
    for messages in SIZES:
        for what, each, folded_late in CASES:
            costs = measured(messages, max(1, messages // each), folded_late=folded_late)
            told = [f"{cost.event_us:7.1f} µs {cost.longest_ms:6.1f} ms" for cost in costs]
            print(f"{messages:>8}  {what:<18} {told[0]:>22} {told[1]:>22}", flush=True)


if __name__ == "__main__":
    main()
