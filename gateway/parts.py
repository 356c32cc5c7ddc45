"""The parts of a gateway, wired to one another once its log can be read."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prometheus_client import REGISTRY

from gateway.canary.canary import Canary, Send, through_the_log
from gateway.counters import Counters
from gateway.feed.followers import Followers
from gateway.feed.tail import Tail
from gateway.identity.hook import Hook
from gateway.identity.tokens import Tokens, tokens_of
from gateway.limits.limiter import Limiter
from gateway.limits.overload import Overload
from gateway.metrics import GatewayMetrics
from gateway.redis_client import RedisClient
from gateway.settings import GatewaySettings
from gateway.snapshot.snapshots import Snapshots
from gateway.snapshot.stored import Store
from gateway.socket.admission import OwnPass
from gateway.socket.frame_bucket import FrameBuckets
from gateway.socket.server import ChatServer
from gateway.socket.shared import Shared
from gateway.submit.claims import Claims
from gateway.submit.submit import Submitter
from schemas.log.producer import LogProducer


class Gateway:
    """All parts but the producer, whose life is longer: what was accepted must leave."""

    def __init__(
        self,
        settings: GatewaySettings,
        producer: LogProducer,
        canary: Canary,
        followers: Followers,
        tail: Tail,
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._canary = canary
        self._followers = followers
        self._tail = tail
        self._counters = Counters()
        self._redis = RedisClient(
            settings.redis_url, self._counters, answer_limit_ms=settings.redis_answer_ms
        )
        per_minute = settings.messages_per_minute
        self._claims = Claims(self._redis, settings.epoch, per_minute, self._counters)
        self._limiter = Limiter(settings, self._redis, self._counters)
        self._overload = Overload(self._redis, settings.busy_after_s)
        store = Store(settings.postgres_dsn, settings.epoch, pooled=settings.pooled)
        self._snapshots = Snapshots(store, tail, settings.epoch, self._counters)
        self._tokens, self._hook = tokens_of(settings), _hook_of(settings)
        self._gate = self._tokens or self._hook

    def server(self, tasks: asyncio.TaskGroup) -> ChatServer:
        """Give the public port; it does not listen yet. `tasks` owns what it starts."""
        settings, counters, limiter = self._settings, self._counters, self._limiter
        shared = Shared(
            epoch=settings.epoch,
            shards=settings.shards,
            tail=self._tail,
            followers=self._followers,
            submitter=Submitter(
                self._producer, self._claims, limiter, self._overload, settings.shards, counters
            ),
            snapshots=self._snapshots,
            counters=counters,
            limiter=limiter,
            models=settings.allowed_models(),
            idle_limit_s=settings.idle_limit_s,
            frame_buckets=FrameBuckets(settings.frames_per_second),
            spawn=tasks.create_task,
            tokens=self._tokens,
            hook=self._hook,
        )
        own = OwnPass(self._canary.session_id, self._canary.password)
        return ChatServer(settings, shared, self._not_ready, self._failing, own)

    def parts(self, server: ChatServer) -> Sequence[Coroutine[Any, Any, None]]:
        """Give what runs beside the server until it is cancelled."""
        gate = [self._gate.run()] if self._gate else []
        limits = [self._claims.run(), self._limiter.run(), self._overload.run()]
        own = [self._tail.run(), self._snapshots.run(), server.sweep(), *limits]
        return [*own, *gate]

    def canary_way(self) -> Send:
        """Give where the canary's beats begin."""
        begins_with_log = self._settings.canary_way == "log"
        return through_the_log(self._producer) if begins_with_log else self._tail.beat

    def show(self) -> None:
        """Show the numbers among the process's metrics."""
        counts = counts_of(self._tail, self._producer, self._gate)
        gauges = gauges_of(self._tail, self._canary, self._redis)
        REGISTRY.register(GatewayMetrics(self._counters, self._followers, counts, gauges))

    async def close(self) -> None:
        """Close the connections that are left."""
        await self._claims.write()
        await self._redis.close()

    def _not_ready(self) -> str | None:
        """Say why a client should not be sent here, or None."""
        gate = self._gate
        # The tail is asked first: where it is the cause, its reason says more than the canary's.
        return (
            self._tail.not_ready()
            or self._snapshots.not_ready()
            or (gate.not_ready() if gate else None)
            or self._canary.not_ready()
        )

    def _failing(self) -> Sequence[str]:
        """Say what fails all the same."""
        gate = self._gate.failing() if self._gate else ()
        told = (self._tail.failing(), self._snapshots.failing(), *gate)
        return [each for each in told if each]


def counts_of(
    tail: Tail, producer: LogProducer, gate: Tokens | Hook | None
) -> dict[str, Callable[[], float]]:
    """Give what only grows and is kept by the parts themselves."""
    # A number that can't move is none: without a gate nobody is asked.
    own: dict[str, Callable[[], float]] = {"identity_calls": gate.calls} if gate else {}
    return own | {
        "scans": lambda: tail.scanner.scans,
        "records_read": lambda: tail.records_read,
        "producers_replaced": lambda: producer.replaced,
    }


def gauges_of(tail: Tail, canary: Canary, redis: RedisClient) -> dict[str, Callable[[], float]]:
    """Give what goes up and down."""
    return {
        "redis_away": redis.away,
        "dead_shards": tail.dead,
        "shards_read": tail.reads,
        "shard_log_bytes": tail.bytes_in_memory,
        "canary_round_trip_seconds": canary.round_trip_s,
    }


def _hook_of(settings: GatewaySettings) -> Hook | None:
    if settings.auth != "hook":
        return None
    return Hook(
        settings.hook_url,
        settings.hook_secret,
        settings.hook_timeout_s,
        settings.told_headers(),
    )
