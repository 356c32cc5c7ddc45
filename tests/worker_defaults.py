"""What a worker takes on by default, for tests that change a part of it."""

from dataclasses import replace
from typing import Any

from workers.intake.state import Bounds
from workers.model.model import ModelLimits
from workers.settings import WorkerSettings

_SETTINGS = WorkerSettings.model_construct()
BUDGET_TOKENS = _SETTINGS.prompt_budget_tokens
CHUNK_EVERY_S = _SETTINGS.attempts().chunk_every_s


def bounds(**changed: int) -> Bounds:
    return replace(_SETTINGS.bounds(), **changed)


def model_limits(**changed: Any) -> ModelLimits:
    return replace(_SETTINGS.model_limits(), **changed)
