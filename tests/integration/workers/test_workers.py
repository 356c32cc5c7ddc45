"""Workers on a real Kafka: many answers at once, and what happens when one of them goes."""

import asyncio
import json
import signal
import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from schemas import redis_keys
from schemas.topics import DEAD_LETTERS
from schemas.transcript import Outcome
from tests.integration.workers.conversation import Conversation, assert_whole
from tests.integration.workers.process import Workers
from tests.scripted_model.server import ScriptedModel
from tests.stack import RunningStack
from tests.waiting import TRIES, WITHIN_S, once_within

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


async def test_an_answer_is_streamed_counted_remembered_and_acknowledged(
    servers: RunningStack, model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    worker = await workers.start()
    session = f"whole-{talk.run}"
    first = await talk.ask(session, "tokens=30 rate=200")
    message = await talk.ended(first)
    assert_whole(message, 30)
    assert message.history == "full"
    [call] = model.ledger.of(first)
    assert message.usage is not None
    assert not message.usage.estimated
    assert call.usage == {
        "prompt_tokens": message.usage.prompt_tokens,
        "completion_tokens": message.usage.completion_tokens,
    }

    second = await talk.ask(session, "tokens=5")
    assert (await talk.ended(second)).history == "full"
    [call] = model.ledger.of(second)
    assert [turn["role"] for turn in call.messages] == ["user", "assistant", "user"]
    assert call.messages[1]["content"] == message.text
    redis = Redis.from_url(servers.file.redis)
    asked = [first, second]
    await talk.until_committed()
    # A Redis that was slow for a moment may lack the history; the next answer makes it again.
    while (value := await redis.get(redis_keys.session(session))) is None:
        assert len(asked) < TRIES, f"no answer of {asked} made the history again"
        asked.append(await talk.ask(session, "tokens=5"))
        await talk.ended(asked[-1])
        await talk.until_committed()
    turns = json.loads(value)["history"]
    assert [turn["message_id"] for turn in turns] == [each for each in asked for _ in range(2)]

    await redis.flushall()
    third = await talk.ask(session, "tokens=5")
    assert (await talk.ended(third)).history == "full"
    assert len(model.ledger.of(third)[0].messages) == 2 * len(asked) + 1
    await redis.aclose()
    assert worker.metric("unfinished") >= 0


async def test_a_killed_worker_leaves_no_answer_unfinished_and_none_mixed(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    first, second = await workers.start(), await workers.start()
    for number in range(50):
        await talk.ask(f"kill-{talk.run}-{number}", "tokens=150 rate=50 fault=hold_after:75")
    await talk.until(lambda: talk.outcomes[Outcome.STARTED] == 50, "50 answers run")
    await talk.until(lambda: all(each.text for each in talk.messages()), "the middle of them")
    shares = [first.metric("starts_total"), second.metric("starts_total")]
    assert sum(shares) == 50
    assert min(shares) >= 50 / 4
    first.send(signal.SIGKILL)
    await talk.until(
        lambda: sum(each.starts == 2 for each in talk.messages()) == shares[0], "they go on"
    )
    while not all(each.terminal for each in talk.messages()):
        model.release()
        await asyncio.sleep(0.1)
    for message in talk.messages():
        assert_whole(message, 150)
    assert talk.outcomes[Outcome.ENDED] == 50
    assert talk.outcomes[Outcome.LATE] == 0
    restarted = sum(message.starts == 2 for message in talk.messages())
    assert restarted == shares[0]
    await talk.until_committed()


async def test_workers_that_join_and_leave_restart_nothing(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    """Whoever leaves knows by then how long answers take: else it hands over what might not end."""
    first = await workers.start()
    for number in range(20):
        for _ in range(2):
            await talk.ask(f"roll-{talk.run}-{number}", "tokens=200 rate=50")
    await talk.until(lambda: talk.outcomes[Outcome.ENDED] >= 20, "the first of each session")
    await talk.until(lambda: talk.outcomes[Outcome.STARTED] == 40, "the second of each runs")
    await workers.start()
    first.send(signal.SIGTERM)
    await workers.start()
    assert await first.exit_code() == 0
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, 200)
        assert message.starts == 1
        assert len(model.ledger.of(message.message_id)) == 1
    await talk.until_committed()


async def test_a_drain_that_takes_too_long_releases_what_runs(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    first = await workers.start(TALKLOG_GRACE_S="1")
    asked = await talk.ask(f"release-{talk.run}", "tokens=300 rate=50")
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > 5, "a running answer")
    first.send(signal.SIGTERM)
    assert await first.exit_code() == 0
    await workers.start()
    message = await talk.ended(asked)
    assert_whole(message, 300)
    assert talk.outcomes[Outcome.RELEASED] == 1
    assert (message.starts, message.unended_starts) == (2, 1)


FAULTS = {
    "fault=status:500": ("error", "model_unavailable"),
    "fault=status:429 retry_after=0": ("error", "model_unavailable"),
    "fault=status:400": ("error", "model_rejected"),
    "fault=context": ("error", "context_too_long"),
    "fault=drop": ("error", "model_unavailable"),
    "fault=hang_headers": ("error", "model_timeout"),
    "fault=wrong_type": ("error", "model_unavailable"),
    "fault=empty_body": ("error", "model_unavailable"),
    "fault=hang_after:3": ("error", "model_timeout"),
    "fault=cut_after:3": ("complete", "incomplete"),
    "fault=end_after:3": ("complete", "incomplete"),
    "fault=garbage_after:3": ("complete", "incomplete"),
    "fault=error_after:3": ("error", "model_unavailable"),
    "fault=no_finish": ("complete", "incomplete"),
    "fault=no_done": ("complete", "stop"),
    "fault=status:500 fails=1": ("complete", "stop"),
    "finish=length": ("complete", "length"),
    "huge=400000": ("complete", "length"),
}


async def test_whatever_the_model_does_there_is_one_terminal(
    talk: Conversation, workers: Workers
) -> None:
    await workers.start(
        TALKLOG_FIRST_TOKEN_TIMEOUT_S="2",
        TALKLOG_IDLE_TIMEOUT_S="2",
        TALKLOG_CONNECT_TIMEOUT_S="2",
        # So many faults at one address may be in a row; here each is asked for by itself.
        TALKLOG_BREAKER_FAILURES="1000",
    )
    asked = {
        orders: await talk.ask(f"fault-{talk.run}-{number}", orders)
        for number, orders in enumerate(FAULTS)
    }
    await talk.until_all_ended()
    ends = {}
    for orders, message_id in asked.items():
        view = talk.view(message_id)
        assert view is not None
        ends[orders] = (view.state, view.error.code if view.error else view.finish_reason)
        if "after:3" in orders:
            assert view.last_sequence > 0
            assert view.text
    assert ends == FAULTS
    await talk.until_committed()
    assert talk.outcomes[Outcome.ENDED] == len(FAULTS)
    assert talk.outcomes[Outcome.LATE] == talk.outcomes[Outcome.FENCED] == 0


async def test_a_cancel_closes_the_model_within_half_a_second(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    await workers.start()
    await once_within(0.5, lambda: _cancelled_within_s(model, talk))


async def _cancelled_within_s(model: ScriptedModel, talk: Conversation) -> float:
    """Cancel what waits and what runs in a new session; how soon the model was let go."""
    session = f"cancel-{talk.run}-{len(talk.asked)}"
    running = await talk.ask(session, "tokens=1000 rate=50")
    waiting = await talk.ask(session, "tokens=5")
    seen = talk.outcomes[Outcome.CHUNK]
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > seen + 5, "a running answer")
    await talk.cancel(waiting)
    assert (await talk.ended(waiting)).finish_reason == "cancelled"
    assert not model.ledger.of(waiting)
    cancelled_at = time.monotonic()
    await talk.cancel(running)
    message = await talk.ended(running)
    assert message.finish_reason == "cancelled"
    assert message.text
    [call] = model.ledger.of(running)
    while call.ended_s is None:  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.01)
    assert call.state == "closed"

    after = await talk.ask(session, "tokens=5")
    await talk.ended(after)
    assert model.ledger.of(after)[0].messages[1]["content"] == message.text
    return call.ended_s - cancelled_at


async def test_a_cancel_reaches_an_answer_that_runs_in_a_worker_without_the_shard(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    # A grace that covers the answers: none is handed over before its cancel comes.
    first = await workers.start(TALKLOG_GRACE_S="300")
    asked = [
        await talk.ask(f"else-{talk.run}-{number}", "tokens=2000 rate=50") for number in range(4)
    ]
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > 40, "running answers")
    await workers.start()
    first.send(signal.SIGTERM)
    for message_id in asked:
        await talk.cancel(message_id)
    for message_id in asked:
        message = await talk.ended(message_id)
        assert message.finish_reason == "cancelled"
        assert message.starts == 1
    assert await first.exit_code() == 0


async def test_second_messages_as_they_ask_for_it(talk: Conversation, workers: Workers) -> None:
    await workers.start()
    session = f"busy-{talk.run}"
    running = await talk.ask(session, "tokens=1000 rate=50")
    await talk.until(lambda: talk.outcomes[Outcome.CHUNK] > 5, "a running answer")
    rejected = await talk.ask(session, "tokens=5", on_busy="reject")
    message = await talk.ended(rejected)
    assert message.error is not None
    assert message.error.code == "busy"
    queued = await talk.ask(session, "tokens=5")
    await talk.until(lambda: talk.outcomes[Outcome.QUEUED] == 1, "queued")
    interrupting = await talk.ask(session, "tokens=5", on_busy="interrupt")
    assert_whole(await talk.ended(interrupting), 5)
    assert (await talk.ended(running)).finish_reason == "interrupted"
    assert (await talk.ended(queued)).finish_reason == "interrupted"
    free = await talk.ask(session, "tokens=5", on_busy="reject")
    assert_whole(await talk.ended(free), 5)


async def test_a_message_sent_twenty_times_is_one_call(
    model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    await workers.start()
    session, message_id = f"twice-{talk.run}", f"m-{talk.run}-twice"
    for _ in range(20):
        await talk.ask(session, "tokens=20 rate=100", message_id=message_id)
    assert_whole(await talk.ended(message_id), 20)
    await talk.ask(session, "tokens=20", message_id=message_id)
    await talk.until_committed()
    assert len(model.ledger.of(message_id)) == 1
    assert talk.outcomes[Outcome.STARTED] == 1


async def test_a_record_nobody_understands_is_a_dead_letter_and_the_partition_goes_on(
    servers: RunningStack, talk: Conversation, workers: Workers
) -> None:
    await workers.start()
    session = f"dead-{talk.run}"
    value = b"\xff not json " + talk.run.encode()
    record = await talk.publish_bytes(session, value)
    assert_whole(await talk.ended(await talk.ask(session, "tokens=5")), 5)
    await talk.until_committed()
    letters = AIOKafkaConsumer(bootstrap_servers=servers.file.kafka, auto_offset_reset="none")
    await letters.start()
    partition = TopicPartition(DEAD_LETTERS, 0)
    letters.assign([partition])
    letters.seek(partition, 0)
    async with asyncio.timeout(WITHIN_S):
        async for letter in letters:
            if letter.value == value:
                break
    await letters.stop()
    headers = dict(letter.headers)
    assert headers["topic"] == b"user_messages"
    assert headers["partition"] == str(record.partition).encode()
    assert headers["offset"] == str(record.offset).encode()
    assert headers["reason"]
    assert headers["tries"] == b"1"
