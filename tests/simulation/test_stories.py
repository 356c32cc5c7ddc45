"""The stories that broke earlier designs, each told once with its rule and once without it."""

import pytest

from schemas.events import Chunk, Complete, Prompt, Status, encode
from schemas.shard_log import Record, ShardLog
from schemas.transcript import Outcome, Place, Transcript, is_lost
from tests.simulation.log import Fate
from tests.simulation.stage import RuleBroken, Stage
from tests.simulation.view import View

AT = "2026-01-01T00:00:00.000Z"
ENDED = "stop"


def finish(told_terminal: object) -> str | None:
    return getattr(told_terminal, "finish_reason", None)


# -- workers


def start_in_flight_at_a_revoke(*broken: str) -> None:
    """The broker is slow to answer a start, and meanwhile another worker joins."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1", tokens=20, every_s=0.3))
        stage.of.broker.stands_until = stage.world.now + 2.4
        stage.when(lambda: bool(stage.of.workers[0].answers))
        stage.of.add_worker()
        stage.comes_to_rest()
        assert len(m1.starts) == 1


def test_a_start_in_flight_at_a_revoke_is_waited_for() -> None:
    start_in_flight_at_a_revoke()
    with pytest.raises(RuleBroken, match="began again"):
        start_in_flight_at_a_revoke("start-in-flight-not-awaited")


def own_late_start(*broken: str) -> None:
    """A worker's start fails, it starts again, and then the first start lands after all."""
    with Stage(*broken) as stage:
        stage.of.broker.fates["generating"] = [Fate.LATE]
        m1 = stage.says(stage.message("m1", tokens=20, every_s=2.0))
        stage.comes_to_rest()
        assert finish(m1.terminal) == ENDED


def test_ones_own_late_start_is_lower_than_the_one_that_took_its_place() -> None:
    own_late_start()
    with pytest.raises(RuleBroken, match="began again"):
        own_late_start("fence-without-starts")


def test_who_has_lost_the_shard_does_not_try_again() -> None:
    """W1 has lost the shard and runs its answer still; a send fails: W2 goes on, not W1."""
    with Stage() as stage:
        m1 = stage.says(stage.message("m1", tokens=20, every_s=0.3))
        stage.when(lambda: len(m1.pieces) > 2)
        first, second = stage.of.workers[0], stage.of.add_worker()
        stage.when(lambda: second.intake.owned == [0])
        stage.of.broker.fates["Chunk"] = [Fate.NEVER]
        stage.comes_to_rest()
        runners = [stage.truth.attempts[attempt].worker for attempt in m1.starts]
        assert runners == [first.process.name, second.process.name]


def waking_owner(*broken: str) -> None:
    """An owner waits for an answer that runs elsewhere, sleeps, and wakes with old news unread."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1", tokens=20, every_s=1.0))
        stage.when(lambda: len(m1.pieces) > 2)
        second = stage.of.add_worker()
        stage.when(lambda: second.intake.owned == [0] and second.intake.folded)
        stage.passes(1.0)
        stage.world.stall(second.process, 5.3)
        stage.comes_to_rest()
        assert len(m1.starts) == 1


def test_a_waking_owner_reads_before_it_says_that_nothing_was_said() -> None:
    waking_owner()
    with pytest.raises(RuleBroken, match="began again"):
        waking_owner("silence-without-reading-to-end")


def busy_after_the_end(*broken: str) -> None:
    """The user has seen the end of m1 and asks at once; the worker has not read it back yet."""
    with Stage(*broken) as stage:
        m1, m2 = stage.message("m1"), stage.message("m2", "reject")
        stage.of.workers[0].slow_tail_s = 0.1

        def ended(told: object) -> None:
            if told is m1:
                stage.says(m2)

        stage.truth.on_ended = ended
        stage.says(m1)
        stage.when(lambda: stage.ended(m2))
        stage.comes_to_rest()
        assert finish(m2.terminal) == ENDED


def test_nobody_is_busy_with_what_has_ended() -> None:
    busy_after_the_end()
    with pytest.raises(RuleBroken, match="is busy"):
        busy_after_the_end("busy-without-reading")


def interrupt_lost_in_a_crash(*broken: str) -> None:
    """m2 interrupts m1, which waits; m2 is cancelled; the owner dies before m1 has ended."""
    with Stage(*broken) as stage:
        m0 = stage.says(stage.message("m0", ends="never"))
        stage.when(lambda: len(m0.pieces) > 0)
        runner, owner = stage.of.workers[0], stage.of.add_worker()
        stage.when(lambda: owner.intake.owned == [0] and owner.intake.folded)
        m1 = stage.says(stage.message("m1", ends="never"))
        stage.passes(0.5)
        runner.on_crash = owner.on_crash = lambda: None
        runner.crash()
        m2 = stage.says(stage.message("m2", "interrupt"))
        stage.passes(0.2)
        stage.reader.cancel(m2)
        stage.when(lambda: stage.ended(m2))
        owner.crash()
        stage.of.add_worker()
        stage.comes_to_rest()
        assert finish(m1.terminal) == "interrupted"


def test_an_interrupt_outlives_the_message_and_the_worker_that_brought_it() -> None:
    interrupt_lost_in_a_crash()
    with pytest.raises(RuleBroken, match="m1 has not ended"):
        interrupt_lost_in_a_crash("interrupted-by-the-living-alone")


def interrupting_message_again(*broken: str) -> None:
    """m1 interrupts; long after it has ended its client sends it again, behind m2."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1", "interrupt"))
        stage.when(lambda: stage.of.group.committed[0] == 1)
        m2 = stage.says(stage.message("m2", tokens=20, every_s=0.3))
        stage.when(lambda: len(m2.pieces) > 2)
        stage.says(m1)
        stage.comes_to_rest()
        assert finish(m2.terminal) == ENDED


def test_a_message_sent_again_interrupts_nothing_that_came_after_it() -> None:
    interrupting_message_again()
    with pytest.raises(RuleBroken, match="nobody asked"):
        interrupting_message_again("interrupted-by-a-repetition")


def flush_then_append(*broken: str) -> None:
    """Redis forgets everything while m2 runs; m2 is the first to be written after that."""
    with Stage(*broken) as stage:
        for message_id in ("m1", "m2", "m3"):
            told = stage.says(stage.message(message_id))
            if message_id == "m2":
                stage.when(lambda told=told: bool(told.pieces))  # type: ignore[misc]
                stage.of.redis.flush()
            stage.when(lambda: stage.of.settled)
        assert told.terminal


def test_a_part_is_not_taken_for_the_whole_history() -> None:
    flush_then_append()
    with pytest.raises(RuleBroken, match="is told only"):
        flush_then_append("script-makes-the-key")


def turns_written_twice(*broken: str) -> None:
    """The worker dies when the turns of m1 are stored and m1 is not acknowledged."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1"))
        stage.when(lambda: bool(stage.of.redis.load("s")))
        stage.of.workers[0].crash()
        stage.when(lambda: stage.of.group.committed[0] == 1)
        stage.says(stage.message("m2"))
        stage.comes_to_rest()
        assert m1.terminal


def test_turns_that_are_there_are_not_appended() -> None:
    turns_written_twice()
    with pytest.raises(RuleBroken, match="is told"):
        turns_written_twice("history-appended")


def failed_write(*broken: str) -> None:
    """Redis is away when m2 ends; the worker dies; Redis comes back with the old value."""
    with Stage(*broken) as stage:
        stage.says(stage.message("m1"))
        stage.when(lambda: stage.of.settled)
        stage.of.redis.away = True
        m2 = stage.says(stage.message("m2"))
        stage.when(lambda: stage.ended(m2))
        stage.passes(3.0)
        stage.of.workers[0].crash()
        stage.of.redis.away = False
        stage.says(stage.message("m3"))
        stage.comes_to_rest()


def test_a_message_is_acknowledged_only_when_its_turns_are_stored() -> None:
    failed_write()
    with pytest.raises(RuleBroken, match="is told"):
        failed_write("failed-write-forgotten")


def acknowledged_early(*broken: str) -> None:
    """Two answers run; the later one ends first, and the worker dies."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1", tokens=20, every_s=0.3))
        stage.when(lambda: len(m1.pieces) > 0)
        m2 = stage.says(stage.message("m2"))
        m2.session_id = "s"
        stage.reader.cancel(m2)
        stage.when(lambda: stage.ended(m2))
        stage.passes(2.0)
        stage.of.workers[0].crash()
        stage.comes_to_rest()


def test_nothing_is_committed_past_a_message_that_runs() -> None:
    acknowledged_early()
    with pytest.raises(RuleBroken, match="past m1"):
        acknowledged_early("commit-past-a-gap")


# -- gateway, page, persister


def revived_message(*broken: str) -> None:
    """m1 is complete and not in the snapshot; a start of a dead worker comes late."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1"))
        stage.when(lambda: stage.of.settled)
        tab = stage.opens_a_tab(history=0)
        stage.when(lambda: tab.settled)
        stage.late_start(m1, "a99", (1, 99, 0))
        stage.comes_to_rest()
        assert "m1" not in tab.view.transcript.messages


def test_what_has_ended_is_not_revived_by_a_late_start() -> None:
    revived_message()
    with pytest.raises(RuleBroken):
        revived_message("snapshot-without-ended")


def accepted_for_ever(*broken: str) -> None:
    """A client's own message was accepted; it is away until the message has ended."""
    with Stage(*broken) as stage:
        tab = stage.opens_a_tab(history=0)
        stage.when(lambda: tab.settled)
        m1 = stage.message("m1")
        tab.say(m1)
        stage.when(lambda: m1.accepted)
        stage.of.postgres.away = True
        tab.view.whole = False
        tab.cut()
        stage.when(lambda: stage.ended(m1))
        stage.passes(2.0)
        tab.view.own["m1"] = "accepted"
        tab.cut()
        stage.of.postgres.away = False
        stage.comes_to_rest()


def test_an_own_message_that_has_ended_is_not_waited_for() -> None:
    accepted_for_ever()
    with pytest.raises(RuleBroken):
        accepted_for_ever("snapshot-without-ended")


def vanished(*broken: str) -> None:
    """Postgres is slow: what was seen to end since the join is in the snapshot that comes."""
    with Stage(*broken) as stage:
        stage.of.postgres.away = True
        tab = stage.opens_a_tab(history=0)
        stage.passes(0.5)
        m1 = stage.says(stage.message("m1"))
        stage.when(lambda: stage.ended(m1))
        stage.passes(1.0)
        stage.of.postgres.away = False
        stage.comes_to_rest()
        assert tab.view.transcript.messages["m1"].text == m1.text


def test_what_ended_between_join_and_snapshot_does_not_vanish() -> None:
    vanished()
    with pytest.raises(RuleBroken, match="vanishes"):
        vanished("snapshot-without-what-ended-since")


def behind_the_tail(*broken: str) -> None:
    """The tail has not read the record before the end that was asked for at the join."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1", tokens=3, every_s=1.0))
        stage.when(lambda: len(m1.pieces) > 0)
        gateway = stage.of.gateways[-1]
        slow, gateway.slow_tail_s = gateway.slow_tail_s, 0.8
        log, tail = stage.of.broker.sessions[0], gateway.tails[0]
        stage.when(lambda: tail.end == log.end)
        stage.when(lambda: tail.end < log.end)
        tab = stage.opens_a_tab(history=0)
        stage.when(lambda: tab.view.whole)
        assert tail.end < log.end
        gateway.slow_tail_s = slow
        stage.comes_to_rest()


def test_live_goes_on_where_the_fold_of_the_snapshot_ends() -> None:
    behind_the_tail()
    with pytest.raises(RuleBroken):
        behind_the_tail("live-from-the-asked-end")


def sent_for_ever(*broken: str) -> None:
    """The socket is cut between submit and `accepted`, and the record never lands."""
    with Stage(*broken) as stage:
        stage.when(lambda: stage.reader.settled)
        stage.of.broker.fates["UserMessage"] = [Fate.NEVER]
        m1 = stage.message("m1")
        stage.reader.say(m1)
        stage.passes(0.1)
        stage.reader.cut()
        stage.comes_to_rest()
        assert finish(m1.terminal) == ENDED


def test_what_may_not_have_been_sent_is_sent_again() -> None:
    sent_for_ever()
    with pytest.raises(RuleBroken, match="not to the end"):
        sent_for_ever("not-sent-again")


def overwritten(*broken: str) -> None:
    """A new persister knows the session by m2 alone; a late start of m1 comes."""
    with Stage(*broken) as stage:
        m1 = stage.says(stage.message("m1"))
        stage.when(lambda: stage.of.settled)
        for persister in list(stage.of.persisters):
            stage.of.kill_persister(persister)
        m2 = stage.says(stage.message("m2", tokens=20, every_s=0.3))
        stage.when(lambda: len(m2.pieces) > 2)
        stage.passes(1.0)
        stage.late_start(m1, "a99", (1, 99, 0))
        stage.comes_to_rest()


def test_a_late_start_does_not_overwrite_a_finished_row() -> None:
    overwritten()
    with pytest.raises(RuleBroken, match="m1 has not ended in the rows"):
        overwritten("no-look-up")


# -- told without a stage


def chunk(sequence: int, attempt: str = "a1") -> Chunk:
    return Chunk(
        session_id="s",
        message_id="m1",
        created_at=AT,
        attempt=attempt,
        sequence=sequence,
        content=f"[{sequence}]",
    )


def start(attempt: str, epoch: int, generation: int, number: int = 0) -> Status:
    return Status(
        session_id="s",
        message_id="m1",
        created_at=AT,
        state="generating",
        attempt=attempt,
        fence=(epoch, generation, number),
        prompt=Prompt(content="?", created_at=AT),
    )


def test_a_jump_is_not_hidden_in_a_merged_frame() -> None:
    """Sequences 1, 2 and 4 wait for a slow socket: 1 to 2 may be one frame, 4 is its own."""
    from gateway.feed.delivery import next_frames

    log = ShardLog(0)
    log.append([Record(n, 0, "s", encode(chunk(each))) for n, each in enumerate((1, 2, 4))])
    assert len(next_frames(log, "s", 0, "1.0.").frames) == 2


def test_nothing_is_added_to_what_was_there_before_the_place_was_lost() -> None:
    """A client holds 1 to 4, is told `recovered: false`, and live chunk 7 comes first."""
    view = View()
    view.receive(b'{"type":"status","state":"connected","recovered":null,"epoch":1}')
    view.receive(b'{"type":"snapshot","cursor":"1.0.0","messages":[],"ended":[]}')
    for offset, event in enumerate((start("a1", 1, 1), *map(chunk, range(1, 5))), 1):
        view.receive(b'{"cursor":"1.0.%d",' % offset + encode(event)[1:])
    assert view.transcript.messages["m1"].text == "[1][2][3][4]"
    view.receive(b'{"type":"status","state":"connected","recovered":false,"epoch":1}')
    view.receive(b'{"cursor":"1.0.9",' + encode(chunk(7))[1:])
    assert "m1" not in view.transcript.messages
    assert view.resume_cursor is None


def test_a_group_that_begins_again_is_not_fenced_by_its_own_past() -> None:
    """The group's generation begins again at 1 in the same log: the epoch was raised."""
    transcript = Transcript()
    transcript.apply(start("a1", 1, 12), Place(1, 0))
    assert transcript.apply(start("a2", 2, 1), Place(2, 1)) is Outcome.STARTED


def test_an_answer_whose_log_is_gone_is_lost() -> None:
    """A row was running when the topics were made anew."""
    transcript = Transcript()
    transcript.apply(start("a1", 1, 1), Place(1, 50))
    assert is_lost(transcript.messages["m1"], epoch=2, log_start=0, held_in_log=False)
    assert not is_lost(transcript.messages["m1"], epoch=1, log_start=50, held_in_log=False)


def test_a_last_chunk_that_never_came_is_damage() -> None:
    """The terminal came and tells of more than was seen."""
    transcript = Transcript()
    said: tuple[Status | Chunk, ...] = (start("a1", 1, 1), chunk(1))
    for offset, event in enumerate(said):
        transcript.apply(event, Place(1, offset))
    end = Complete(
        session_id="s",
        message_id="m1",
        created_at=AT,
        attempt="a1",
        last_sequence=2,
        finish_reason="stop",
    )
    transcript.apply(end, Place(1, 2))
    assert transcript.messages["m1"].damaged
