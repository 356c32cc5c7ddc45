"""Kafka, Postgres, Redis and the model of one stack: started, or taken as they were given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local import broker, jars, postgres, redis
from deploy.local import model as local_model
from deploy.local.epoch import epoch_of
from deploy.local.layout import Layout
from deploy.local.program import StartFailed
from deploy.local.proxy import program as proxy
from deploy.local.settings import StackSettings
from deploy.local.supervisor import Supervisor
from deploy.operators import acls, topics
from deploy.operators.migrate import migrate
from schemas.brokers import Brokers, Kafka
from schemas.kafka_rights import rights
from schemas.process.connections import brokers_in

BROKERS_JOIN_S = 60.0


class Servers:
    """Starts each server, and says in stack.json where it is."""

    def __init__(
        self,
        settings: StackSettings,
        layout: Layout,
        supervisor: Supervisor,
        say: Callable[[str], None],
        environ: Mapping[str, str],
    ) -> None:
        self._environ = environ
        self._settings = settings
        self._layout = layout
        self._supervisor = supervisor
        self._say = say

    async def start_kafka(self) -> int:
        """Brokers and topics; the log's epoch."""
        nodes = self._layout.nodes
        address = self._settings.kafka or broker.addresses(nodes)
        secured = self._layout.secured
        self._supervisor.tell(kafka=address)
        if secured:
            self._supervisor.tell(kafka_way_in=secured.way_in("operator"))
        folder = await asyncio.to_thread(jars.fetch, self._say) if nodes else Path()
        started = [
            self._supervisor.run(
                broker.program(
                    node,
                    nodes,
                    self._layout.state / f"kafka-{node.number}",
                    jars=folder,
                    cluster_id=self._layout.cluster_id,
                    secured=secured,
                )
            )
            for node in nodes
        ]
        await asyncio.gather(*(process.wait_ready() for process in started))
        kafka = secured.kafka(address, "admin") if secured else brokers_in(self._environ, address)
        await _brokers_join(kafka, max(1, len(nodes)))
        if secured:
            count = await acls.grant(kafka, rights())
            self._say(f"{'rights':<12} given, {count} ACLs")
        return await self._make_topics(kafka)

    async def _make_topics(self, kafka: Brokers) -> int:
        settings, ours = self._settings, self._settings.kafka is None
        there = settings.brokers if ours else await topics.brokers_up(kafka)
        made = await topics.make(kafka, settings.shards, replication=3 if there >= 3 else 1)
        for odd in await topics.fit(kafka, settings.shards, new=made):
            self._say(f"{'topics':<12} {odd}")
        log = "local" if ours else kafka.addresses
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
            secured = self._layout.secured
            dsn = postgres.dsn(port, password, secured=secured)
            program = postgres.program(port, self._layout.state / "postgres", password, secured)
            await self._supervisor.run(program).wait_ready()
        self._supervisor.tell(postgres=dsn)
        names = await asyncio.to_thread(migrate, dsn)
        if names:
            self._say(f"{'tables':<12} migrated: {', '.join(names)}")
        if self._layout.secured:
            await asyncio.to_thread(postgres.make_roles, dsn, self._layout.secured)

    async def start_redis(self) -> None:
        """Redis."""
        url = self._settings.redis
        if url is None:
            port = self._layout.port("redis")
            secured = self._layout.secured
            url = secured.redis_url(port, "admin") if secured else redis.url(port)
            await self._supervisor.run(
                redis.program(port, self._layout.state / "redis", secured)
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


async def _brokers_join(kafka: Kafka, wanted: int) -> None:
    """A broker listens before it takes part: wait until all do."""
    deadline = time.monotonic() + BROKERS_JOIN_S
    while True:
        try:
            there = await topics.brokers_up(kafka)
            why = f"{there} of {wanted} brokers take part"
        except topics.TopicsUnusable as error:
            there, why = 0, str(error)
        if there >= wanted:
            return
        if time.monotonic() > deadline:
            raise StartFailed(f"kafka: {why}")
        await asyncio.sleep(0.1)
