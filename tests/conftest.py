"""Real servers for every test that needs them: Kafka, Postgres and Valkey, started once for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import RunningStack, running_stack

SHARE_SERVERS = {"contract", "integration"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each folder's tests together, in whatever order they are, so that its stack ends soon.

    A stack that nobody uses takes a fifth of a small machine. So `servers` and `stack` are not
    started before they are needed: who uses them comes last, in the run and in the folder.
    """

    def place(item: pytest.Item) -> tuple[bool, str, bool]:
        path = item.path.relative_to(Path(__file__).parent)
        uses_stack = "stack" in getattr(item, "fixturenames", ())
        return path.parts[0] in SHARE_SERVERS, str(path.parent), uses_stack

    items.sort(key=place)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka with the topics, Postgres with the tables, Valkey; shared, so use own sessions."""
    with running_stack(tmp_path_factory.mktemp("servers"), servers_only=True) as stack:
        yield stack
