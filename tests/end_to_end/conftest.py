"""The stacks that the end-to-end tests share; each is started once, with two of every service."""

from collections.abc import Iterator

import pytest

from tests.scripted_model.control import ModelControl, scripted_model
from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="package")
def model() -> Iterator[ModelControl]:
    """The scripted model; prompts carry their orders."""
    with scripted_model() as control:
        yield control


@pytest.fixture(scope="package")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Two gateways, two workers, two persisters on servers of their own."""
    with running_stack(
        tmp_path_factory.mktemp("stack"),
        OPENAI_BASE_URL=model.url,
        GATEWAYS="2",
        WORKERS="2",
        PERSISTERS="2",
        TALKLOG_IDLE_TIMEOUT_S="200",  # tests hold answers for as long as they need
    ) as stack:
        yield stack
