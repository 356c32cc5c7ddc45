"""What can't be noted is given up in the end, and counted: nothing waits for it."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as Refused

from schemas.process.redis_client import RedisClient
from workers.history import spent as module
from workers.history.spent import Spent
from workers.intake.actions import MessageKey, NoteEnd

ENDED = NoteEnd("ada", MessageKey("s", "m1"), 5)


class Redis:
    """Fails so often."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def register_script(self, _: str) -> Any:
        async def run(**_: object) -> None:
            self.calls += 1
            if self.calls <= self.failures:
                raise Refused

        return run


@pytest.mark.parametrize(("failures", "forgone"), [(2, 0), (10**9, 1)])
async def test_it_is_tried_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, failures: int, forgone: int
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    monkeypatch.setattr(module, "TRIED_S", 0.05 if forgone else 60.0)
    redis, given_up = Redis(failures), list[int]()
    client = RedisClient(redis, connections_max=1)
    await Spent(client, lambda: given_up.append(1)).note(ENDED)
    assert (len(given_up), redis.calls >= min(failures, 2)) == (forgone, True)
