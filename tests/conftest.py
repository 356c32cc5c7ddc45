"""Real servers for every test that needs them: Kafka, Postgres and Valkey, started once for all."""

from collections.abc import Iterator

import pytest

from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka with the topics, Postgres with the tables, Valkey; shared, so use own sessions."""
    with running_stack(tmp_path_factory.mktemp("servers"), servers_only=True) as stack:
        yield stack
