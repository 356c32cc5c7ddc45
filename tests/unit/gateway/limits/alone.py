"""A limiter without Redis, as it is while that is away."""

from collections.abc import Sequence
from typing import Any, cast

from gateway.counters import Counters
from gateway.limits.limiter import Limiter
from gateway.limits.settings import LimitSettings
from gateway.redis_client import Asked


class NoScript:
    """Is never run."""

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int]) -> object:
        return None

    async def for_each(self, asked: Sequence[Asked]) -> Sequence[object]:
        return [None] * len(asked)


class NoRedis:
    """Does not answer."""

    def script(self, folder: str, name: str) -> NoScript:
        return NoScript()

    async def set_fields(self, *_: object) -> bool:
        return False


def limiter(counters: Counters | None = None, **settings: int) -> Limiter:
    chosen = LimitSettings(epoch=1, **cast(Any, settings))
    return Limiter(chosen, cast(Any, NoRedis()), counters or Counters())
