"""A gateway process of a test's own, on a free port, beside real servers."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import free_run
from tests.service import Service, environment_for, started
from tests.stack import RunningStack
from tests.waiting import WITHIN_S

PATIENT = {"TALKLOG_REDIS_ANSWER_MS": "60000"}
"""On a busy machine Redis may take longer than people would wait: its word is waited for here."""


@dataclass(slots=True)
class Gateway(Service):
    """A gateway that is ready."""

    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def get(self, path: str, port: int | None = None) -> tuple[int, str, Mapping[str, str]]:
        """GET a path, of the public port if no other is named: status, text, headers."""
        return Service.get(self, path, port or self.port)

    def metric(self, name: str) -> float:
        """A number of `/metrics`."""
        return self.value(f"talklog_gateway_{name}")

    def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
        """Wait until the condition holds; the process must live."""

        def holds() -> bool:
            if condition():
                return True
            assert self.process.poll() is None, self.output.read_text()
            return False

        Service.until(self, holds, within_s)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)


@contextlib.contextmanager
def running_gateway(
    servers: RunningStack, output: Path, *, module: Sequence[str] = ("gateway",), **variables: str
) -> Iterator[Gateway]:
    """Run a gateway until the block ends; `module` with its arguments may be one that breaks it."""
    with starting_gateway(servers, output, module=module, **variables) as gateway:
        gateway.until_ready()
        yield gateway


@contextlib.contextmanager
def starting_gateway(
    servers: RunningStack, output: Path, *, module: Sequence[str] = ("gateway",), **variables: str
) -> Iterator[Gateway]:
    """The same, without waiting until it is ready: it may never be."""
    port = free_run(2)
    with started(module, gateway_environment(servers, port) | variables, output) as process:
        yield Gateway(process, port + 1, output, port)


def gateway_environment(servers: RunningStack, port: int) -> dict[str, str]:
    """What a gateway needs to know of the servers."""
    return environment_for(servers) | {
        "TALKLOG_PORT": str(port),
        "TALKLOG_ADMIN_PORT": str(port + 1),
        "TALKLOG_GRACE_S": "2",
    }
