"""The whole stack as one thing that is entered and left.

    async with Stack(StackSettings(port=0, state=folder), servers_only=True) as stack:
        stack.file.kafka, stack.file.postgres, stack.file.redis

Servers start at the same time; services start when the topics and the tables are there. Leaving
the block stops everything, services first. Used by `talklog run`, by `talklog up` (in a process
of its own) and by tests.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy import topics
from deploy.local import broker, jars, lock, postgres, process_list, redis, services
from deploy.local import model as local_model
from deploy.local.epoch import epoch_of
from deploy.local.layout import Layout
from deploy.local.process import StartFailedError
from deploy.local.settings import StackSettings
from deploy.local.stack_file import StackFile
from deploy.local.supervisor import Supervisor
from deploy.migrate import migrate

FREE_DISK_MIN_BYTES = 512 * 1024 * 1024
BROKERS_JOIN_S = 60.0


class NoRoomError(Exception):
    """The disk is nearly full."""


class Stack:
    """One local stack; an async context manager."""

    def __init__(
        self,
        settings: StackSettings,
        *,
        servers_only: bool = False,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.settings = settings
        self.state = settings.state.resolve()
        self._servers_only = servers_only
        self._environment = dict(os.environ if environment is None else environment)
        self._say = say
        self._held = ExitStack()
        self.epoch = 0
        self.up = False

    @property
    def file(self) -> StackFile:
        """What stack.json says."""
        return self._supervisor.file

    def set_ready(self) -> None:
        """Say in stack.json that it works."""
        self._supervisor.tell(ready=True)

    def kill(self) -> None:
        """Kill every process at once, without order."""
        if hasattr(self, "_supervisor"):
            self._supervisor.kill()

    @property
    def supervisor(self) -> Supervisor:
        """Who runs the processes: to stop, kill or start one by its name."""
        return self._supervisor

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            StartFailedError, NoRoomError, lock.RunsAlreadyError, layout.PortTakenError,
            kept.OtherShapeError, epoch.UnknownEpochError, topics.TopicsError,
            migrate.MigrateError: each text is one clear line for a person.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(lock.FolderLock(self.state))
        try:
            self._clear()
            self._layout = Layout(self.settings, servers_only=self._servers_only)
            for line in self._layout.moved:
                self._say(line)
        except BaseException:
            self._held.close()
            raise
        self._supervisor = Supervisor(self.state, restart=self.settings.restart, say=self._say)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        self.up = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop everything in order; nothing is left when it returns."""
        self.up = False
        await self._supervisor.stop()
        self._held.close()

    def _clear(self) -> None:
        """Make sure of room, and of being alone."""
        free = shutil.disk_usage(self.state).free
        if free < FREE_DISK_MIN_BYTES:
            raise NoRoomError(
                f"only {free // 2**20} MB are free on the disk of {self.state}, the stack needs "
                f"{FREE_DISK_MIN_BYTES // 2**20} MB: make room, or choose another folder (STATE=…)"
            )
        (self.state / "stack.json").unlink(missing_ok=True)
        left = process_list.kill_leftovers(self.state)
        if left:
            self._say(f"killed what an earlier start left behind: {', '.join(left)}")

    async def _start(self) -> None:
        model = asyncio.ensure_future(self._start_model())
        try:
            try:
                async with asyncio.TaskGroup() as servers:
                    epoch = servers.create_task(self._start_kafka())
                    servers.create_task(self._start_postgres())
                    servers.create_task(self._start_redis())
            except* Exception as group:
                # The first failure says it; the others followed from it.
                raise group.exceptions[0] from None
            self.epoch = epoch.result()
            await self._start_services(self.epoch)
            # Last: nobody asks it before a message comes.
            await model
        finally:
            model.cancel()

    async def _start_kafka(self) -> int:
        """Brokers and topics; the log's epoch."""
        nodes = self._layout.nodes
        address = self.settings.kafka or broker.addresses(nodes)
        self._supervisor.tell(kafka=address)
        folder = await asyncio.to_thread(jars.fetch, self._say) if nodes else Path()
        started = [
            self._supervisor.run(
                broker.program(
                    node,
                    nodes,
                    self.state / f"kafka-{node.number}",
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
        settings, ours = self.settings, self.settings.kafka is None
        there = settings.brokers if ours else await topics.brokers_up(address)
        made = await topics.make(address, settings.shards, replication=3 if there >= 3 else 1)
        if wrong := await topics.problems(address, settings.shards):
            raise topics.TopicsError("; ".join(wrong))
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

    async def _start_postgres(self) -> None:
        dsn = self.settings.postgres
        if dsn is None:
            port, password = self._layout.port("postgres"), self._layout.postgres_password
            dsn = postgres.dsn(port, password)
            program = postgres.program(port, self.state / "postgres", password)
            await self._supervisor.run(program).wait_ready()
        self._supervisor.tell(postgres=dsn)
        names = await asyncio.to_thread(migrate, dsn)
        if names:
            self._say(f"{'tables':<12} migrated: {', '.join(names)}")

    async def _start_redis(self) -> None:
        url = self.settings.redis
        if url is None:
            port = self._layout.port("redis")
            url = redis.url(port)
            await self._supervisor.run(redis.program(port, self.state / "redis")).wait_ready()
        self._supervisor.tell(redis=url)

    async def _start_model(self) -> None:
        url = self.settings.model or ""
        if not url and not self._servers_only:
            port = self._layout.port("model")
            url = local_model.url(port)
            await self._supervisor.run(local_model.program(port)).wait_ready()
        self._supervisor.tell(model=url)

    async def _start_services(self, epoch: int) -> None:
        local = self.settings.model is None and not self._servers_only
        addresses = services.Addresses(
            kafka=self.file.kafka,
            redis=self.file.redis,
            postgres=self.file.postgres,
            model=self.settings.model
            or (local_model.url(self._layout.port("model")) if local else ""),
            model_name=local_model.NAME if local else None,
            epoch=epoch,
            shards=self.settings.shards,
        )
        started = []
        for kind, number in self._layout.services:
            admin_port = self._layout.admin_port(kind, number)
            program = services.program(
                kind,
                number,
                environment=services.variables(self._environment, addresses, admin_port),
                admin_port=admin_port,
                public_port=self._layout.public_port(kind, number),
            )
            started.append(self._supervisor.run(program))
        await asyncio.gather(*(process.wait_ready() for process in started))


async def _brokers_join(address: str, wanted: int) -> None:
    """A broker listens before it takes part: wait until all do."""
    deadline = time.monotonic() + BROKERS_JOIN_S
    while True:
        try:
            there = await topics.brokers_up(address)
            why = f"{there} of {wanted} brokers take part"
        except topics.TopicsError as error:
            there, why = 0, str(error)
        if there >= wanted:
            return
        if time.monotonic() > deadline:
            raise StartFailedError(f"kafka: {why}")
        await asyncio.sleep(0.1)
