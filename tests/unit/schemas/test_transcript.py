"""The fold, rule by rule; each story that broke an earlier version has its own sentence."""

import pytest

from schemas.events import SessionEvent
from schemas.transcript import Message, Outcome, Place, Transcript, fold, is_lost
from tests.unit.schemas.log_of import (
    PROMPT,
    alive,
    apply_all,
    cancelling,
    chunk,
    complete,
    failed,
    queued,
    released,
    start,
)

O = Outcome  # noqa: E741 - a table of outcomes reads better with a short name


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


def only(transcript: Transcript) -> Message:
    (message,) = transcript.messages.values()
    return message


def test_the_way_of_one_message(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript,
        queued(position=2),
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "Hel"),
        alive("a1"),
        chunk("a1", 2, "lo"),
        complete("a1", 2),
        offset=5,
    )
    assert outcomes == [O.QUEUED, O.STARTED, O.CHUNK, O.ALIVE, O.CHUNK, O.ENDED]
    message = only(transcript)
    assert (message.state, message.text, message.finish_reason) == ("complete", "Hello", "stop")
    assert (message.first, message.last) == (Place(1, 5), Place(1, 10))
    assert (message.prompt, message.model, message.worker) == (PROMPT, "m", "w")
    assert message.terminal
    assert not message.damaged
    assert (message.starts, message.unended_starts, message.last_sequence) == (1, 1, 2)


@pytest.mark.parametrize(
    "late",
    [
        queued(),
        start("a9", (9, 9, 9)),
        chunk("a1", 2, "x"),
        alive("a1"),
        cancelling("a1"),
        released("a1"),
        complete("a1", 1),
        failed("a1"),
        failed(None),
    ],
    ids=lambda event: getattr(event, "state", type(event).__name__),
)
def test_what_follows_a_terminal_is_ignored(transcript: Transcript, late: SessionEvent) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "one"), complete("a1", 1))
    before = repr(only(transcript))
    assert transcript.apply(late, Place(1, 99)) is O.LATE
    assert repr(only(transcript)) == before


def test_a_start_begins_text_sequence_and_damage_anew(transcript: Transcript) -> None:
    apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        chunk("a1", 3, "x"),
        cancelling("a1"),
        start("a2", (1, 2, 0)),
    )
    message = only(transcript)
    assert (message.attempt, message.fence) == ("a2", (1, 2, 0))
    assert (message.text, message.last_sequence, message.damaged) == ("", 0, False)
    assert message.cancelling is None
    assert (message.starts, message.unended_starts) == (2, 2)


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        ((1, 5, 0), (1, 4, 9), False),  # a worker that was thought dead
        ((1, 5, 1), (1, 5, 0), False),  # one's own start that lands late
        ((1, 5, 0), (1, 5, 0), True),  # of equals the later in the log
        ((1, 9, 0), (1, 10, 0), True),  # numbers, not text
        ((1, 12, 3), (2, 1, 0), True),  # the group began again in a new epoch
        ((2, 1, 0), (1, 12, 3), False),
    ],
)
def test_the_fence_decides_between_two_starts(
    transcript: Transcript,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    wins: bool,
) -> None:
    outcomes = apply_all(transcript, start("a1", first), start("a2", second))
    assert outcomes[1] is (O.STARTED if wins else O.FENCED)
    assert only(transcript).attempt == ("a2" if wins else "a1")
    assert only(transcript).starts == 1 + wins


def test_nobody_listens_to_a_fenced_attempt(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "old"),
        start("a2", (1, 2, 0)),
        chunk("a1", 2, "old"),
        alive("a1"),
        cancelling("a1"),
        released("a1"),
        complete("a1", 2),
        failed("a1"),
        chunk("a2", 1, "new"),
        complete("a2", 1),
    )
    assert outcomes[3:9] == [O.FENCED] * 6
    assert only(transcript).text == "new"
    assert only(transcript).state == "complete"


def test_a_start_with_a_lower_fence_than_a_released_attempt_is_ignored(
    transcript: Transcript,
) -> None:
    outcomes = apply_all(transcript, start("a2", (1, 2, 0)), released("a2"), start("a1", (1, 1, 0)))
    assert outcomes[2] is O.FENCED
    assert only(transcript).state == "queued"


def test_one_own_late_start_does_not_make_the_message_poison(transcript: Transcript) -> None:
    # a1's start has an unknown outcome; it is given up, a2 runs, then a1 lands after all.
    outcomes = apply_all(
        transcript,
        queued(),
        released("a1"),
        start("a2", (1, 1, 1)),
        chunk("a2", 1, "a"),
        start("a1", (1, 1, 0)),
        chunk("a2", 2, "b"),
    )
    assert outcomes == [O.QUEUED, O.FENCED, O.STARTED, O.CHUNK, O.FENCED, O.CHUNK]
    assert only(transcript).text == "ab"
    assert only(transcript).unended_starts == 1


def test_released_queues_again_and_keeps_the_id_for_a_terminal(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "part"),
        released("a1"),
        chunk("a1", 2, "lost"),
        released("a1"),
        alive("a1"),
    )
    assert outcomes[2:] == [O.RELEASED, O.FENCED, O.FENCED, O.FENCED]
    message = only(transcript)
    assert (message.state, message.released, message.attempt) == ("queued", True, "a1")
    assert (message.starts, message.unended_starts) == (1, 0)
    assert transcript.apply(failed("a1", "retries_exhausted", 1), Place(1, 9)) is O.ENDED
    assert (message.state, message.text, message.damaged) == ("error", "part", False)
    assert message.released is False


def test_released_queues_again_and_the_next_start_goes_on(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        released("a1"),
        queued(position=3),
        start("a2", (1, 1, 1)),
    )
    assert outcomes[2] is O.QUEUED
    message = only(transcript)
    assert (message.state, message.released, message.unended_starts) == ("generating", False, 1)
    assert message.position is None


def test_a_repeated_sequence_is_ignored(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "a"),
        chunk("a1", 1, "a"),
        chunk("a1", 2, "b"),
        chunk("a1", 1, "a"),
    )
    assert outcomes[2:] == [O.REPEATED, O.CHUNK, O.REPEATED]
    assert only(transcript).text == "ab"


def test_a_jump_damages_and_is_shown_on(transcript: Transcript) -> None:
    apply_all(
        transcript,
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "a"),
        chunk("a1", 3, "c"),
        chunk("a1", 4, "d"),
        complete("a1", 4),
    )
    assert only(transcript).text == "acd"
    assert only(transcript).damaged
    assert only(transcript).state == "complete"


@pytest.mark.parametrize("end", [complete("a1", 2), failed("a1", last_sequence=2)])
def test_a_last_chunk_that_never_came_damages_too(
    transcript: Transcript, end: SessionEvent
) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "a"))
    transcript.apply(end, Place(1, 2))
    assert only(transcript).damaged


@pytest.mark.parametrize("end", [complete(None, finish_reason="cancelled"), failed(None, "busy")])
def test_a_terminal_without_attempt_ends_what_never_began(
    transcript: Transcript, end: SessionEvent
) -> None:
    assert transcript.apply(end, Place(1, 4)) is O.ENDED
    message = only(transcript)
    assert message.terminal
    assert (message.prompt, message.attempt) == (PROMPT, None)
    assert (message.first, message.last) == (Place(1, 4), Place(1, 4))


@pytest.mark.parametrize("gone", [False, True])
def test_a_terminal_without_attempt_counts_only_while_there_was_no_start(
    transcript: Transcript, gone: bool
) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), *([released("a1")] if gone else []))
    assert transcript.apply(failed(None, "busy"), Place(1, 2)) is O.FENCED


@pytest.mark.parametrize(
    "event",
    [
        chunk("a1", 1, "x"),
        alive("a1"),
        cancelling("a1"),
        released("a1"),
        complete("a1", 1),
        failed("a1"),
    ],
    ids=lambda event: getattr(event, "state", type(event).__name__),
)
def test_of_an_unknown_message_only_a_beginning_counts(
    transcript: Transcript, event: SessionEvent
) -> None:
    assert transcript.apply(event, Place(1, 1)) is O.UNKNOWN
    assert transcript.messages == {}


def test_queued_counts_again_only_while_it_waits(transcript: Transcript) -> None:
    outcomes = apply_all(
        transcript, queued(position=4), queued(position=3), start("a1", (1, 1, 0)), queued()
    )
    assert outcomes == [O.QUEUED, O.QUEUED, O.STARTED, O.REPEATED]
    assert only(transcript).position is None


def test_cancelling_is_remembered_until_the_end(transcript: Transcript) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), cancelling("a1", "interrupt"))
    assert only(transcript).cancelling == "interrupt"
    transcript.apply(complete("a1", finish_reason="interrupted"), Place(1, 2))
    assert only(transcript).cancelling is None


def test_a_merged_frame_is_as_good_as_its_parts(transcript: Transcript) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "a"))
    assert transcript.apply(chunk("a1", 4, "bcd"), Place(1, 4), first_sequence=2) is O.CHUNK
    assert transcript.apply(chunk("a1", 4, "cd"), Place(1, 4), first_sequence=3) is O.REPEATED
    message = only(transcript)
    assert (message.text, message.last_sequence, message.damaged) == ("abcd", 4, False)


def test_a_merged_frame_that_overlaps_is_not_applied(transcript: Transcript) -> None:
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "a"), chunk("a1", 2, "b"))
    assert transcript.apply(chunk("a1", 4, "bcd"), Place(1, 4), first_sequence=2) is O.OVERLAP
    assert only(transcript).text == "ab"
    assert only(transcript).last == Place(1, 2)


def test_without_text_everything_else_is_the_same() -> None:
    events: list[SessionEvent] = [
        start("a1", (1, 1, 0)),
        chunk("a1", 1, "a"),
        chunk("a1", 2, "b"),
        complete("a1", 2),
    ]
    with_text, without = Transcript(), Transcript(keep_text=False)
    assert apply_all(with_text, *events) == apply_all(without, *events)
    assert (only(with_text).text, only(without).text) == ("ab", "")
    assert only(without).last_sequence == 2


def test_the_running_and_the_open_messages_of_a_session() -> None:
    events: list[SessionEvent] = [
        start("a1", (1, 1, 0), "m1"),
        queued("m2"),
        queued("m3"),
        complete("a1", message_id="m1"),
        start("a3", (1, 1, 0), "m3"),
    ]
    transcript = fold((event, Place(1, offset)) for offset, event in enumerate(events))
    running = transcript.running()
    assert running is not None
    assert running.message_id == "m3"
    assert [message.message_id for message in transcript.open_messages()] == ["m2", "m3"]
    assert Transcript().running() is None


def test_only_what_changed_something_counts() -> None:
    counting = {O.QUEUED, O.STARTED, O.ALIVE, O.CANCELLING, O.RELEASED, O.CHUNK, O.REASONING}
    assert {outcome for outcome in Outcome if outcome.counts} == {*counting, O.ENDED}


@pytest.mark.parametrize(
    ("epoch", "log_start", "held", "lost"),
    [
        (2, 0, False, True),  # the topics were made anew
        (1, 11, False, True),  # its last event was trimmed
        (1, 10, False, False),  # its last event is the log's first
        (2, 0, True, False),  # the log holds its user_message: a worker will come to it
        (1, 11, True, False),
    ],
)
def test_lost_is_what_no_log_can_end(
    transcript: Transcript, epoch: int, log_start: int, held: bool, lost: bool
) -> None:
    apply_all(transcript, queued(), start("a1", (1, 1, 0)), offset=9)
    assert is_lost(only(transcript), epoch, log_start, held) is lost


def test_what_has_ended_or_never_had_an_event_is_not_lost(transcript: Transcript) -> None:
    apply_all(transcript, failed(None))
    assert not is_lost(only(transcript), 9, 0, False)
    assert not is_lost(Message("m2"), 9, 0, False)
