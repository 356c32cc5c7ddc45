"""Any log, in any batches, with any crashes: the same rows, and they are the fold."""

from hypothesis import given, settings
from hypothesis import strategies as st

from persister.reading import BadRecord, read
from schemas.events import Cancel, Event, UserMessage
from schemas.topics import SESSION_LOG
from schemas.transcript import Place, Transcript
from tests.unit.persister.folding import EPOCH, SHARDS, folded
from tests.unit.persister.random_log import events as logs
from tests.unit.persister.tables import Tables
from tests.written import log_of


@given(
    logs,
    st.lists(st.integers(1, 9), max_size=40),
    st.lists(st.booleans(), max_size=20),
    st.integers(0, 4),
)
def test_the_rows_do_not_depend_on_batches_crashes_or_memory(
    events: list[Event], batches: list[int], crashes: list[bool], max_answers: int
) -> None:
    once = folded(events)
    again = folded(events, batches, crashes=crashes, max_answers=max_answers)
    assert again.dump() == once.dump()


@given(logs, st.lists(st.integers(1, 9), max_size=40))
def test_the_rows_are_the_fold(events: list[Event], batches: list[int]) -> None:
    tables = folded(events, batches)
    transcripts = _transcripts(events)
    assert set(tables.answers) == {
        (session_id, message_id)
        for session_id, transcript in transcripts.items()
        for message_id in transcript.messages
    }
    for (session_id, message_id), row in tables.answers.items():
        message = transcripts[session_id].messages[message_id]
        assert tables.text(session_id, message_id) == message.text
        assert row["reasoning"] == message.reasoning
        assert row["last_reasoning_sequence"] == message.last_reasoning_sequence
        assert row["state"] == message.state
        assert row["damaged"] == message.damaged
        assert row["last_sequence"] == message.last_sequence
        assert row["starts"] == message.starts
        assert row["unended_starts"] == message.unended_starts
        assert message.first == Place(row["first_epoch"], row["first_offset"])
        assert message.last == Place(row["epoch"], row["last_offset"])
        assert (session_id, message_id) in tables.prompts
        _check_complete(tables, session_id, message_id, message.state == "complete")


@given(logs)
@settings(max_examples=30)
def test_numbers_rise_in_the_order_of_the_log_and_are_never_reused(events: list[Event]) -> None:
    """Stored one by one, a number that was removed is never seen again."""
    removed: set[tuple[str, int]] = set()
    tables = Tables()
    for end in range(1, len(events) + 1):
        now = folded(events[:end])
        removed |= set(tables.chunks) - set(now.chunks)
        assert not removed & set(now.chunks)
        for place, row in now.chunks.items():
            before = tables.chunks.get(place)
            assert before is None or before["content"] == row["content"]
        tables = now


def _transcripts(events: list[Event]) -> dict[str, Transcript]:
    transcripts: dict[str, Transcript] = {}
    for partition, records in log_of(events, SHARDS).records.items():
        if partition.topic != SESSION_LOG:
            continue
        for record in records:
            try:
                event = read(SESSION_LOG, partition.shard, SHARDS, record)
            except BadRecord:
                continue
            assert event is not None
            assert not isinstance(event, UserMessage | Cancel)
            transcript = transcripts.setdefault(event.session_id, Transcript())
            transcript.apply(event, Place(EPOCH, record.offset))
    return transcripts


def _check_complete(tables: Tables, session_id: str, message_id: str, complete: bool) -> None:
    marks = [
        row["is_complete"]
        for (session, _), row in sorted(tables.chunks.items())
        if session == session_id and row["message_id"] == message_id
    ]
    assert marks == [False] * (len(marks) - 1) + [complete] * bool(marks)
