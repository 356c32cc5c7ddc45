"""A gateway process of a test's own, on a free port, beside real servers."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import free_run
from deploy.local.program import wrapped
from tests.stack import RunningStack

START_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
POLL_S = 0.03


@dataclass(slots=True)
class Gateway:
    """A gateway that is ready."""

    process: "subprocess.Popen[bytes]"
    port: int
    admin_port: int
    output: Path

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def get(self, path: str, port: int | None = None) -> tuple[int, str, Mapping[str, str]]:
        """GET a path: status, text, headers."""
        address = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def metric(self, name: str) -> float:
        """A number of `/metrics`."""
        _, text, _ = self.get("/metrics", self.admin_port)
        lines = (line for line in text.splitlines() if line.startswith(f"talklog_gateway_{name} "))
        return float(next(lines).split()[-1])

    def until(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        """Wait until the condition holds; the process must live."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(POLL_S)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Wait until it has ended."""
        return await asyncio.to_thread(self.process.wait, STOP_WITHIN_S)


@contextlib.contextmanager
def running_gateway(
    servers: RunningStack, output: Path, *, module: Sequence[str] = ("gateway",), **variables: str
) -> Iterator[Gateway]:
    """Run a gateway until the block ends; `module` with its arguments may be one that breaks it."""
    port = free_run(2)
    environment = gateway_environment(servers, port) | variables
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped([sys.executable, "-m", *module], uid=None, death_signal=signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    gateway = Gateway(process, port, port + 1, output)
    try:
        _wait_ready(gateway)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def gateway_environment(servers: RunningStack, port: int) -> dict[str, str]:
    """What a gateway needs to know of the servers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKLOG_")}
    return kept | {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_REDIS_URL": servers.file.redis,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
        "TALKLOG_EPOCH": str(servers.epoch),
        "TALKLOG_PORT": str(port),
        "TALKLOG_ADMIN_PORT": str(port + 1),
        "TALKLOG_GRACE_S": "2",
    }


def _wait_ready(gateway: Gateway) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        assert gateway.process.poll() is None, gateway.output.read_text()
        with contextlib.suppress(OSError):
            if gateway.get("/readyz")[0] == 200:
                return
        time.sleep(POLL_S)
    raise AssertionError(f"the gateway is not ready:\n{gateway.output.read_text()}")
