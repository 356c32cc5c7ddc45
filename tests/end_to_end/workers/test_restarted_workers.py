"""A worker dies, stands still or is started anew: one end, no mixed text, the log's order."""

import asyncio
import os
import signal

import pytest

from schemas.transcript import Message, Outcome
from tests.integration.workers.conversation import Conversation, assert_whole
from tests.integration.workers.process import Workers
from tests.scripted_model.control import ModelControl
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

STOPPED_S = float(os.environ.get("WORKER_STOPPED_S", "0"))
"""At least; it is stopped until others have taken over what it had."""
ANSWERS, TOKENS, HELD_AT, RATE = 20, 90, 30, 5
QUEUED = 4
PATIENT = {"TALKLOG_IDLE_TIMEOUT_S": "200"}


async def test_a_worker_that_wakes_finds_its_answers_taken_over(
    model: ModelControl, talk: Conversation, workers: Workers
) -> None:
    """Its records are in the log, nobody counts them, and each answer has one end.

    No answer ends before the test lets it, and while the worker stands still the model goes on
    talking to it: so when it wakes it has something to say, of answers that all run elsewhere.
    """
    first, second = await workers.start(**PATIENT), await workers.start(**PATIENT)
    for number in range(ANSWERS):
        await talk.ask(
            f"stopped-{talk.run}-{number}",
            f"tokens={TOKENS} rate={RATE} fault=hold_after:{HELD_AT}",
        )
    await talk.until(lambda: talk.outcomes[Outcome.STARTED] == ANSWERS, "every answer runs")
    await talk.until(lambda: all(each.text for each in talk.messages()), "the middle of answers")
    taken = int(first.metric("starts_total"))
    assert 0 < taken < ANSWERS
    first.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
        await talk.until(lambda: _restarted(talk) == taken, "all its answers run elsewhere")
        assert talk.outcomes[Outcome.FENCED] == 0
        one = next(each for each in talk.asked if _starts(talk, each) == 2)
        await until(
            lambda: _was_told_more(model, one), WITHIN_S, "the model talks to the stopped one"
        )
    finally:
        first.send(signal.SIGCONT)
    await talk.until(lambda: talk.outcomes[Outcome.FENCED] > 0, "a record of the one that woke")
    await until(model.let_go, WITHIN_S, "every stream has ended")
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, TOKENS)
    assert _restarted(talk) == taken
    assert talk.outcomes[Outcome.ENDED] == ANSWERS
    assert second.metric("starts_total") == ANSWERS
    await talk.until_committed()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
async def test_queued_messages_keep_their_order_over_a_restart(
    model: ModelControl, talk: Conversation, workers: Workers, how: signal.Signals
) -> None:
    first = await workers.start(TALKLOG_GRACE_S="700")
    session = f"queue-{how.name}-{talk.run}"
    running = await talk.ask(session, "tokens=20 fault=hold_after:10")
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > 0, "a running answer")
    queued = [await talk.ask(session, "tokens=5") for _ in range(QUEUED)]
    await talk.until(lambda: talk.outcomes[Outcome.QUEUED] == QUEUED, "queued")
    first.send(how)
    behind = await talk.ask(session, "tokens=5")
    await workers.start()
    if how == signal.SIGKILL:
        await talk.until(lambda: _starts(talk, running) == 2, "the answer runs again")

    def none_held() -> bool:
        model.release()
        view = talk.view(running)
        return view is not None and view.terminal

    await until(none_held, WITHIN_S, "the running answer has ended")
    await talk.until_all_ended()
    everything = [running, *queued, behind]
    _assert_in_order(talk, everything)
    assert_whole(_view(talk, running), 20)
    for message_id in [*queued, behind]:
        assert_whole(_view(talk, message_id), 5)
        assert _starts(talk, message_id) == 1
        assert model.state()["by_key"][message_id] == 1
    assert _starts(talk, running) == (2 if how == signal.SIGKILL else 1)
    [call] = model.calls(behind)
    assert [turn["content"] for turn in call["messages"][1::2]] == [
        _view(talk, each).text for each in everything[:-1]
    ]
    await talk.until_committed()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
async def test_an_interrupt_is_held_to_over_a_restart(
    model: ModelControl, talk: Conversation, workers: Workers, how: signal.Signals
) -> None:
    """What was running and queued before it ends as interrupted, in order, with its text."""
    first = await workers.start(TALKLOG_GRACE_S="700")
    session = f"interrupt-{how.name}-{talk.run}"
    running = await talk.ask(session, "tokens=20 fault=hold_after:10")
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > 0, "a running answer")
    queued = await talk.ask(session, "tokens=5")
    await talk.until(lambda: talk.outcomes[Outcome.QUEUED] == 1, "queued")
    first.send(how)
    if how == signal.SIGKILL:
        await first.exit_code()
    interrupting = await talk.ask(session, "tokens=5", on_busy="interrupt")
    await workers.start()
    await talk.until_all_ended()
    _assert_in_order(talk, [running, queued, interrupting])
    cut, never, last = (_view(talk, each) for each in (running, queued, interrupting))
    assert (cut.finish_reason, never.finish_reason) == ("interrupted", "interrupted")
    assert cut.text
    assert (cut.starts, never.starts) == (1, 0)
    assert_whole(last, 5)
    [call] = model.calls(interrupting)
    assert [turn["content"] for turn in call["messages"] if turn["role"] == "assistant"] == [
        cut.text
    ]
    await talk.until_committed()


def _was_told_more(model: ModelControl, message_id: str) -> bool:
    """Let every held stream go on, and say whether the message's first call has."""
    model.release()
    return bool(model.calls(message_id)[0]["tokens"] > HELD_AT)


def _assert_in_order(talk: Conversation, asked: list[str]) -> None:
    """Their ends lie in the log as they were asked."""
    ends = [_view(talk, each).last for each in asked]
    assert None not in ends
    assert ends == sorted(end for end in ends if end is not None)


def _view(talk: Conversation, message_id: str) -> Message:
    view = talk.view(message_id)
    assert view is not None
    return view


def _starts(talk: Conversation, message_id: str) -> int:
    return _view(talk, message_id).starts


def _restarted(talk: Conversation) -> int:
    return sum(_starts(talk, each) == 2 for each in talk.asked)
