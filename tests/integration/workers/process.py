"""A worker process of a test's own, beside real servers and a scripted model."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import free_run
from deploy.local.program import wrapped
from tests.stack import RunningStack

START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
POLL_S = 0.05


@dataclass(slots=True)
class Worker:
    """A worker that is ready."""

    process: "subprocess.Popen[bytes]"
    admin_port: int
    output: Path

    def metric(self, name: str) -> float:
        """A number of `/metrics`."""
        address = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(address, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        line = next(line for line in lines if line.startswith(f"talklog_worker_{name} "))
        return float(line.split()[-1])

    def send(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    async def exit_code(self) -> int:
        """Wait until it has ended."""
        return await asyncio.to_thread(self.process.wait, STOP_WITHIN_S)


@contextlib.contextmanager
def running_worker(
    servers: RunningStack, model_url: str, output: Path, **variables: str
) -> Iterator[Worker]:
    """Run a worker until the block ends. The model may run in the test's own loop."""
    port = free_run(1)
    given = {n: v for n, v in os.environ.items() if not n.startswith(("TALKLOG_", "OPENAI_"))}
    environment = given | {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_REDIS_URL": servers.file.redis,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
        "TALKLOG_EPOCH": str(servers.epoch),
        "TALKLOG_ADMIN_PORT": str(port),
        "TALKLOG_GRACE_S": "20",
        "OPENAI_BASE_URL": model_url,
    }
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped([sys.executable, "-m", "workers"], uid=None, death_signal=signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment | variables,
            start_new_session=True,
        )
    worker = Worker(process, port, output)
    try:
        _wait_ready(worker)
        yield worker
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def _wait_ready(worker: Worker) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        assert worker.process.poll() is None, worker.output.read_text()
        with contextlib.suppress(OSError, urllib.error.URLError):
            address = f"http://127.0.0.1:{worker.admin_port}/readyz"
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        time.sleep(POLL_S)
    raise AssertionError(f"the worker is not ready:\n{worker.output.read_text()}")
