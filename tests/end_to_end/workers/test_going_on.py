"""A worker is killed, or told to leave, in the middle of its answers: they go on, word by word.

The model holds its streams until every word that it wrote is in the log; so each word is written by
it once, and the texts say themselves whether one is missing or there twice.
"""

import signal

import pytest

from schemas.transcript import Outcome
from tests.integration.workers.conversation import Conversation, assert_whole
from tests.integration.workers.process import Worker, Workers
from tests.scripted_model.control import ModelControl
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ANSWERS, TOKENS, HELD_AT, RATE = 20, 60, 30, 50
PATIENT = {"TALKLOG_IDLE_TIMEOUT_S": "200"}


async def held_answers(talk: Conversation, name: str, orders: str = "") -> None:
    """Ask, and wait until all that the model wrote before its stop is in the log."""
    for number in range(ANSWERS):
        await talk.ask(
            f"{name}-{talk.run}-{number}",
            f"tokens={TOKENS} rate={RATE} fault=hold_after:{HELD_AT} {orders}",
        )
    await talk.until(
        lambda: all(_tokens(talk, each) == HELD_AT for each in talk.asked), "held in the middle"
    )


async def two_workers(workers: Workers) -> tuple[Worker, Worker]:
    return await workers.start(**PATIENT), await workers.start(**PATIENT)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
async def test_every_answer_goes_on_where_it_was(
    model: ModelControl, talk: Conversation, workers: Workers, how: signal.Signals
) -> None:
    first, _ = await two_workers(workers)
    await held_answers(talk, f"goes-on-{how.name}")
    taken = int(first.metric("starts_total"))
    assert 0 < taken < ANSWERS
    first.send(how)
    await talk.until(lambda: _gone_on(talk) == taken, "all its answers go on elsewhere")
    await until(model.let_go, WITHIN_S, "every stream has ended")
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, TOKENS)
    assert talk.shrunk == []
    assert model.state()["tokens"] == ANSWERS * TOKENS, "each word was written once"
    assert talk.outcomes[Outcome.RELEASED] == (taken if how == signal.SIGTERM else 0)
    assert _gone_on(talk) == taken
    if how == signal.SIGTERM:
        assert await first.exit_code() == 0
    await talk.until_committed()


async def test_an_answer_is_taken_over_again_and_again_and_loses_no_word(
    model: ModelControl, talk: Conversation, workers: Workers
) -> None:
    runner = await workers.start(**PATIENT)
    await held_answers(talk, "again")
    for times in (1, 2, 3):
        following = await workers.start(**PATIENT)
        runner.send(signal.SIGTERM if times == 2 else signal.SIGKILL)
        await _started_again(talk, times)
        await talk.until(lambda: all(each.last_sequence for each in talk.messages()), "repeated")
        runner = following
    await until(model.let_go, WITHIN_S, "every stream has ended")
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, TOKENS)
    assert talk.shrunk == []
    assert model.state()["tokens"] == ANSWERS * TOKENS, "each word was written once"
    await talk.until_committed()


async def test_a_model_that_cannot_go_on_begins_anew(
    model: ModelControl, talk: Conversation, workers: Workers
) -> None:
    first, second = await two_workers(workers)
    await held_answers(talk, "anew", "prefill=refuse")
    taken = int(first.metric("starts_total"))
    first.send(signal.SIGKILL)
    await talk.until(lambda: len(set(talk.shrunk)) == taken, "they begin anew")
    await until(model.let_go, WITHIN_S, "every stream has ended")
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, TOKENS)
        assert message.starts <= 3
    # Who has learned it does not ask again.
    assert second.metric('model_calls_total{address="first",outcome="cannot_continue"}') > 0
    await talk.until_committed()


async def _started_again(talk: Conversation, times: int) -> None:
    await talk.until(lambda: all(each.starts > times for each in talk.messages()), "taken over")


def _tokens(talk: Conversation, message_id: str) -> int:
    view = talk.view(message_id)
    return view.text.count("/c") if view is not None else 0


def _gone_on(talk: Conversation) -> int:
    """Count the answers that another attempt has taken up, with the text so far in the log."""
    views = [view for each in talk.asked if (view := talk.view(each)) is not None]
    return sum(view.starts == 2 and view.last_sequence > 0 for view in views)
