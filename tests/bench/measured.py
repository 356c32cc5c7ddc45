"""What is measured: stacks on folders of their own, and beside them a direct server."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost import cpu_by_tier, cpu_of
from tests.bench.direct import direct_server
from tests.bench.results import DIRECT, OTHER, OURS
from tests.scripted_model.control import ModelControl, scripted_model
from tests.stack import RunningStack, running_stack

OWN_COMPILER = {"_JAVA_OPTIONS": ""}
"""A broker of the tests does without Java's thorough compiler; one that is measured does not."""
SETTINGS = {
    **OWN_COMPILER,
    # All load comes from one address, without a pause: the limits are asked, and never met.
    "TALKLOG_MESSAGES_PER_MINUTE": "1000000",
    "TALKLOG_USER_MESSAGES_PER_MINUTE": "1000000",
    "TALKLOG_ADDRESS_MESSAGES_PER_MINUTE": "1000000",
    "TALKLOG_CONNECTIONS_PER_ADDRESS": "1000000",
    "TALKLOG_ADDRESS_CONNECTIONS_PER_SECOND": "1000000",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured: where its sockets are, and what its tiers have used so far."""

    name: str
    urls: list[str]
    used: Callable[[], dict[str, float]]


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder for a stack, whose Postgres is another user; it goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix="talklog-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def bench_stack(**variables: str) -> Iterator[RunningStack]:
    """A stack and its scripted model, until the block ends; `variables` are the stack's."""
    with bench_folder() as folder, scripted_model() as model:
        settings = OWN_COMPILER | {"OPENAI_BASE_URL": model.url} | variables
        with running_stack(folder, servers_only=False, tree=None, **settings) as stack:
            yield stack


@contextmanager
def all_measured(against: Path | None = None, **variables: str) -> Iterator[list[Measured]]:
    """Run what is measured, the direct server first, until the block ends.

    `against` is the folder of another version, which is measured too; `variables` are the stacks'.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(bench_folder())
        model = stack.enter_context(scripted_model())
        direct = stack.enter_context(direct_server(model.url))
        yield [
            Measured(DIRECT, [direct.url], lambda: {"server": cpu_of(direct.pid)}),
            _talklog(stack, OURS, folder, model, None, variables),
            *([_talklog(stack, OTHER, folder, model, against, variables)] if against else []),
        ]


def _talklog(
    stack: ExitStack,
    name: str,
    folder: Path,
    model: ModelControl,
    tree: Path | None,
    variables: dict[str, str],
) -> Measured:
    settings = SETTINGS | {"OPENAI_BASE_URL": model.url} | variables
    running = stack.enter_context(
        running_stack(folder / name, servers_only=False, tree=tree, **settings)
    )
    urls = [gateway.url for gateway in running.file.gateways]
    return Measured(name, urls, lambda: cpu_by_tier(running.file))
