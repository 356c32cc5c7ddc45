"""A service in a process of a test's own, beside real servers: started, asked, ended."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.program import wrapped
from tests.stack import RunningStack, end
from tests.waiting import WITHIN_S, wait_until

STOP_WITHIN_S = 30.0


@dataclass(slots=True)
class Service:
    """A service; what it prints is in `output`."""

    process: "subprocess.Popen[bytes]"
    admin_port: int
    output: Path

    def get(self, path: str, port: int) -> tuple[int, str, Mapping[str, str]]:
        """GET a path: status, text, headers. Raises OSError."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def health(self) -> str:
        """What /readyz says; empty if nobody answers."""
        try:
            return self.get("/readyz", self.admin_port)[1]
        except OSError:
            return ""

    def value(self, name: str) -> float:
        """A number of `/metrics`."""
        lines = self.get("/metrics", self.admin_port)[1].splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])

    def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
        """Wait until the condition holds."""
        wait_until(condition, within_s, self.output.read_text)

    def until_ready(self) -> None:
        """Wait until it is ready; it must not end before."""
        self.until(lambda: self.process.poll() is not None or self.health() == "ready\n")
        assert self.process.poll() is None, self.output.read_text()

    def send(self, which: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(which)

    async def exit_code(self) -> int:
        """Wait until it has ended."""
        return await asyncio.to_thread(self.process.wait, STOP_WITHIN_S)


@contextlib.contextmanager
def started(
    module: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    *,
    stop_within_s: float = STOP_WITHIN_S,
) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m MODULE …` until the block ends: by SIGTERM, and kill -9 if that is not enough."""
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped([sys.executable, "-m", *module], uid=None, death_signal=signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process, stop_within_s)


def environment_for(servers: RunningStack) -> dict[str, str]:
    """What every service must know of the servers, and nothing that would point it elsewhere."""
    own = ("TALKLOG_", "OPENAI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_REDIS_URL": servers.file.redis,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
        "TALKLOG_EPOCH": str(servers.epoch),
    }
