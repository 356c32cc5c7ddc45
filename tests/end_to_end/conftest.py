"""The stacks that the end-to-end tests share; each is started once, with two of every service."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import ModelControl, Running, running, scripted_model


@pytest.fixture(scope="session")
def model() -> Iterator[ModelControl]:
    """The scripted model; prompts carry their orders."""
    with scripted_model() as control:
        yield control


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Path]:
    """A folder that Postgres' own user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="talklog-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(model: ModelControl, state_folder: Path) -> Iterator[Running]:
    """Two gateways, two workers, two persisters on servers of their own."""
    with running(
        state_folder / "two",
        OPENAI_BASE_URL=model.url,
        GATEWAYS="2",
        WORKERS="2",
        PERSISTERS="2",
    ) as stack:
        yield stack
