"""What a worker counts, for its admin port."""

import time
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from workers.intake.intake import Intake
from workers.model.breaker import BreakerState

DELIVERED = Counter("talklog_worker_delivered", "Records of user_messages delivered")
STARTS = Counter("talklog_worker_starts", "Attempts started")
CONTINUED = Counter("talklog_worker_continued", "Attempts that went on with the text of another")
ENDED = Counter("talklog_worker_ended", "Attempts ended in this process", ["outcome"])
CHUNKS = Counter("talklog_worker_chunks", "Chunks written")
WRITES = Counter("talklog_worker_writes", "Events written by the owner of a shard", ["kind"])
SENDS_FAILED = Counter("talklog_worker_sends_failed", "Sends with unknown outcome")
DEAD_LETTERS = Counter("talklog_worker_dead_letters", "Records put with the dead letters")
OUTRANKED = Counter(
    "talklog_worker_outranked",
    "Messages that can't start: the group began anew within an epoch (raise TALKLOG_EPOCH)",
)
GAPS = Counter("talklog_worker_gaps", "Gaps of offsets that were looked into and hold nothing")
BAD_EVENTS = Counter("talklog_worker_bad_events", "Events of the session log not understood")
REBALANCES = Counter("talklog_worker_rebalances", "Assignments of shards")
FORGONE = Counter("talklog_worker_history_forgone", "Messages acknowledged without their history")
ENDS_FORGONE = Counter(
    "talklog_worker_ends_forgone", "Ends of users' messages not noted for their limits"
)
FULL = Counter("talklog_worker_read_ahead_full", "Times that reading of a partition was stopped")
MODEL_CALLS = Counter(
    "talklog_worker_model_calls",
    "Calls of the model up to their first byte: answered, given_up, or the fault",
    ["address", "outcome"],
)
MODEL_ASKED_AGAIN = Counter(
    "talklog_worker_model_asked_again", "Calls repeated after a fault", ["address", "fault"]
)
START_SECONDS = Histogram(
    "talklog_worker_start_seconds",
    "From the log-append time of a message to its start",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)


def gauge(name: str, text: str, value: Callable[[], float]) -> None:
    """Show a value that is asked for at each scrape."""
    Gauge(f"talklog_worker_{name}", text).set_function(value)


def show(intake: Intake, running: Callable[[], float]) -> None:
    """Show how much this process has taken on, and how long what it has no room for waits."""
    membership = intake.membership
    gauge("running", "Answers that run", running)
    gauge("unfinished", "Records not acknowledged yet", lambda: membership.unfinished)
    gauge("owned_shards", "Shards of this process", lambda: len(intake.owned))
    gauge(
        "waiting_for_history",
        "Messages that only wait for their history",
        lambda: membership.waiting_for_history,
    )
    gauge(
        "waiting_seconds",
        "How long the first message waits that only lacks room to run",
        lambda: intake.admission.waited_s(time.monotonic()),
    )


class HasBreaker(Protocol):
    """An address of a model."""

    name: str

    @property
    def state(self) -> BreakerState:
        """Whether calls are let through."""


def breaker(address: HasBreaker) -> None:
    """Show the state of an address's breaker, asked for at each scrape."""
    _BREAKER.labels(address.name).set_function(lambda: _SHOWN[address.state])


_SHOWN = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_BREAKER = Gauge(
    "talklog_worker_model_breaker", "0 closed, 1 half open (one probe), 2 open", ["address"]
)
