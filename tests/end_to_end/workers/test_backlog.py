"""A worker starts and finds a backlog: nobody's answer begins without the conversation before it.

Seen: with 8,000 messages waiting all were looked up at once when the log was read; for want of
connections three in four were "unsure", and 200 answers began without their conversation.
"""

import asyncio
import os
import signal

import pytest

from schemas.transcript import Outcome
from tests.integration.workers.conversation import Conversation, assert_whole
from tests.integration.workers.process import Workers
from tests.scripted_model.control import ModelControl

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

WAITING = int(os.environ.get("WAITING", "300"))
TOKENS = 2


async def ended(talk: Conversation, count: int) -> None:
    """Wait until so many have ended; the deadline is one for each hundred."""
    for some in [*range(100, count, 100), count]:
        await talk.until(
            lambda some=some: talk.outcomes[Outcome.ENDED] >= some,  # type: ignore[misc]
            f"{some} of {count} ends",
        )


async def test_each_of_many_that_wait_is_answered_with_its_conversation(
    model: ModelControl, talk: Conversation, workers: Workers
) -> None:
    first = await workers.start()
    sessions = [f"waiting-{talk.run}-{number}" for number in range(WAITING)]
    before = await asyncio.gather(*(talk.ask(each, f"tokens={TOKENS}") for each in sessions))
    await ended(talk, WAITING)
    await talk.until_committed()  # their conversations are stored
    first.send(signal.SIGTERM)
    await first.exit_code()
    waiting = await asyncio.gather(*(talk.ask(each, f"tokens={TOKENS}") for each in sessions))
    await workers.start()
    await ended(talk, 2 * WAITING)
    for earlier, later in zip(before, waiting, strict=True):
        said, view = talk.view(earlier), talk.view(later)
        assert said is not None
        assert view is not None
        assert_whole(view, TOKENS)
        assert view.history == "full"
        [call] = model.calls(later)
        assert [turn["content"] for turn in call["messages"]][-2] == said.text
    await talk.until_committed()
