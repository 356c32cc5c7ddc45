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
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from deploy.local import lock, process_list, services
from deploy.local import model as local_model
from deploy.local.layout import Layout
from deploy.local.proxy import program as proxy
from deploy.local.servers import Servers
from deploy.local.settings import StackSettings
from deploy.local.stack_file import StackFile
from deploy.local.supervisor import Supervisor
from deploy.local.tier_addresses import as_tier

FREE_DISK_MIN_BYTES = 512 * 1024 * 1024


class NoRoom(Exception):
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
        self._supervisor: Supervisor | None = None
        self.epoch = 0
        self.up = False

    @property
    def file(self) -> StackFile:
        """What stack.json says."""
        return self.supervisor.file

    def set_ready(self) -> None:
        """Say in stack.json that it works."""
        self.supervisor.tell(ready=True)

    def kill(self) -> None:
        """Kill every process at once, without order."""
        if self._supervisor is not None:
            self._supervisor.kill()

    def start_dead(self) -> None:
        """Start what is dead now, also what was to stay dead."""
        if self._supervisor is not None:
            self._supervisor.start_dead()

    @property
    def supervisor(self) -> Supervisor:
        """Who runs the processes; there is one once the stack has been entered."""
        if self._supervisor is None:
            raise RuntimeError("the stack was not entered")
        return self._supervisor

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            StartFailed, NoRoom, lock.RunsAlready, layout.PortTaken,
            kept.OtherShape, epoch.UnknownEpoch, topics.TopicsUnusable,
            migrate.MigrationFailed: each text is one clear line for a person.
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
        await self.supervisor.stop()
        self._held.close()

    def _clear(self) -> None:
        """Make sure of room, and of being alone."""
        free = shutil.disk_usage(self.state).free
        if free < FREE_DISK_MIN_BYTES:
            raise NoRoom(
                f"only {free // 2**20} MB are free on the disk of {self.state}, the stack needs "
                f"{FREE_DISK_MIN_BYTES // 2**20} MB: make room, or choose another folder (STATE=…)"
            )
        (self.state / "stack.json").unlink(missing_ok=True)
        left = process_list.kill_leftovers(self.state)
        if left:
            self._say(f"killed what an earlier start left behind: {', '.join(left)}")

    async def _start(self) -> None:
        servers = Servers(
            self.settings, self._layout, self.supervisor, self._say, self._environment
        )
        model = asyncio.ensure_future(servers.start_model())
        try:
            try:
                async with asyncio.TaskGroup() as starting:
                    epoch = starting.create_task(servers.start_kafka())
                    starting.create_task(servers.start_postgres())
                    starting.create_task(servers.start_redis())
                    starting.create_task(servers.start_links())
            except BaseExceptionGroup as group:
                # The first failure says it; the others followed from it.
                raise group.exceptions[0] from None
            self.epoch = epoch.result()
            await self._start_services()
            # Last: nobody asks it before a message comes.
            await model
        finally:
            model.cancel()

    async def _start_services(self) -> None:
        direct = services.Addresses(
            kafka=self.file.kafka,
            redis=self.file.redis,
            postgres=self.file.postgres,
            model=self.file.model,
            model_name=None if self.settings.model else local_model.NAME,
            epoch=self.epoch,
            shards=self.settings.shards,
        )
        started = []
        for kind, number in self._layout.services:
            admin_port = self._layout.admin_port(kind, number)
            links = self.settings.links
            addresses = proxy.through(self._layout, kind, direct) if links else direct
            if (secured := self._layout.secured) is not None:
                addresses = as_tier(self._layout, secured, kind, direct)
            program = services.program(
                kind,
                number,
                environment=services.variables(self._environment, addresses, admin_port),
                admin_port=admin_port,
                public_port=self._layout.public_port(kind, number),
            )
            started.append(self.supervisor.run(program))
        await asyncio.gather(*(process.wait_ready() for process in started))
