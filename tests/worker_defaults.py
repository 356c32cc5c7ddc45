"""What a worker takes on by default, for tests that change a part of it."""

from dataclasses import replace

from workers.intake.state import Bounds
from workers.settings import WorkerSettings

_SETTINGS = WorkerSettings.model_construct()


def bounds(**changed: int) -> Bounds:
    return replace(_SETTINGS.bounds(), **changed)
