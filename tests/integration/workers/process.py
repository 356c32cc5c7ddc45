"""A worker process of a test's own, beside real servers and a scripted model."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from deploy.local.ports import free_run
from tests.service import Service, environment_for, started
from tests.stack import RunningStack


class Worker(Service):
    """A worker that is ready."""

    def metric(self, name: str) -> float:
        """A number of `/metrics`."""
        return self.value(f"talklog_worker_{name}")


@contextlib.contextmanager
def running_worker(
    servers: RunningStack, model_url: str, output: Path, **variables: str
) -> Iterator[Worker]:
    """Run a worker until the block ends. The model may run in the test's own loop."""
    port = free_run(1)
    environment = environment_for(servers) | {
        "TALKLOG_ADMIN_PORT": str(port),
        "TALKLOG_GRACE_S": "20",
        "OPENAI_BASE_URL": model_url,
    }
    with started(["workers"], environment | variables, output) as process:
        worker = Worker(process, port, output)
        worker.until_ready()
        yield worker


class Workers:
    """Starts workers without holding up the test's own loop, in which the model answers."""

    def __init__(self, servers: RunningStack, model_url: str, folder: Path) -> None:
        self._servers, self._model_url, self._folder = servers, model_url, folder
        self._stack = AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> "Workers":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, **variables: str) -> Worker:
        self._count += 1
        output = self._folder / f"worker-{self._count}.log"
        context = running_worker(self._servers, self._model_url, output, **variables)
        worker = await asyncio.to_thread(context.__enter__)
        self._stack.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
        return worker
