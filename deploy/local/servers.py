"""Kafka, Postgres, Redis and the model of one stack: started, or taken as they were given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local import broker, jars, postgres, redis
from deploy.local import model as local_model
from deploy.local.epoch import epoch_of
from deploy.local.layout import Layout
from deploy.local.program import StartFailed
from deploy.local.proxy import program as proxy
from deploy.local.settings import StackSettings
from deploy.local.supervisor import Supervisor
from deploy.operators import topics
from deploy.operators.migrate import migrate

BROKERS_JOIN_S = 60.0


class Servers:
    """Starts each server, and says in stack.json where it is."""

    def __init__(
        self,
        settings: StackSettings,
        layout: Layout,
        supervisor: Supervisor,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._supervisor = supervisor
        self._say = say

    async def start_kafka(self) -> int:
        """Brokers and topics; the log's epoch."""
        nodes = self._layout.nodes
        address = self._settings.kafka or broker.addresses(nodes)
        self._supervisor.tell(kafka=address)
        folder = await asyncio.to_thread(jars.fetch, self._say) if nodes else Path()
        started = [
            self._supervisor.run(
                broker.program(
                    node,
                    nodes,
                    self._layout.state / f"kafka-{node.number}",
                    jars=folder,
                    cluster_id=self._layout.cluster_id,
                )
            )
            for node in nodes
        ]
        await asyncio.gather(*(process.wait_ready() for process in started))
        await _brokers_join(address, max(1, len(nodes)))
        return await self._make_topics(address)

    async def _make_topics(self, address: str) -> int:
        settings, ours = self._settings, self._settings.kafka is None
        there = settings.brokers if ours else await topics.brokers_up(address)
        made = await topics.make(address, settings.shards, replication=3 if there >= 3 else 1)
        for odd in await topics.fit(address, settings.shards, new=made):
            self._say(f"{'topics':<12} {odd}")
        log = "local" if ours else address
        number = epoch_of(
            kept=self._layout.epoch(log),
            given=settings.epoch,
            made_now=made,
            ours=ours,
            now_s=int(time.time()),
        )
        self._layout.remember_epoch(log, number)
        if made:
            self._say(f"{'topics':<12} made, {settings.shards} shards, epoch {number}")
        return number

    async def start_postgres(self) -> None:
        """The database, brought to the newest form."""
        dsn = self._settings.postgres
        if dsn is None:
            port, password = self._layout.port("postgres"), self._layout.postgres_password
            dsn = postgres.dsn(port, password)
            program = postgres.program(port, self._layout.state / "postgres", password)
            await self._supervisor.run(program).wait_ready()
        self._supervisor.tell(postgres=dsn)
        names = await asyncio.to_thread(migrate, dsn)
        if names:
            self._say(f"{'tables':<12} migrated: {', '.join(names)}")

    async def start_redis(self) -> None:
        """Redis."""
        url = self._settings.redis
        if url is None:
            port = self._layout.port("redis")
            url = redis.url(port)
            await self._supervisor.run(
                redis.program(port, self._layout.state / "redis")
            ).wait_ready()
        self._supervisor.tell(redis=url)

    async def start_model(self) -> None:
        """The model, if there is anybody to ask it."""
        url = self._settings.model or ""
        if not url and self._layout.services:
            port = self._layout.port("model")
            self._supervisor.tell(model=local_model.url(port))
            await self._supervisor.run(local_model.program(port)).wait_ready()
        else:
            self._supervisor.tell(model=url)

    async def start_links(self) -> None:
        """The proxy between services and servers, if it is wanted."""
        if self._settings.links:
            model = self._settings.model or ""
            if not model and self._layout.services:
                model = local_model.url(self._layout.port("model"))
            self._supervisor.tell(links=proxy.url(self._layout))
            await self._supervisor.run(proxy.program(self._layout, model)).wait_ready()


async def _brokers_join(address: str, wanted: int) -> None:
    """A broker listens before it takes part: wait until all do."""
    deadline = time.monotonic() + BROKERS_JOIN_S
    while True:
        try:
            there = await topics.brokers_up(address)
            why = f"{there} of {wanted} brokers take part"
        except topics.TopicsUnusable as error:
            there, why = 0, str(error)
        if there >= wanted:
            return
        if time.monotonic() > deadline:
            raise StartFailed(f"kafka: {why}")
        await asyncio.sleep(0.1)
