"""Any cut of the bytes gives the same events."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.model import sse
from workers.model.sse import EventReader, EventTooLong, ServerEvent


def read(*pieces: bytes, max_bytes: int = 1 << 20) -> list[ServerEvent]:
    reader = EventReader(event_max_bytes=max_bytes)
    return [event for piece in pieces for event in reader.receive(piece)]


def data(*pieces: bytes) -> list[bytes]:
    return [event.data for event in read(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_of_the_standard(end: bytes) -> None:
    assert data(b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end) == [
        b"a\nb",
        b"c",
    ]


def test_mixed_line_ends_in_one_stream() -> None:
    assert data(b"data: a\r\n\ndata: b\r\rdata: c\n\r\n") == [b"a", b"b", b"c"]


def test_comments_and_other_fields_are_skipped() -> None:
    assert data(b": hello\nid: 1\nretry: 9\ncolour: red\ndata: a\n: more\n\n:\n\n") == [b"a"]


def test_one_leading_space_is_taken_off() -> None:
    assert data(b"data:a\n\ndata: a\n\ndata:  a\n\n") == [b"a", b"a", b" a"]


def test_a_data_line_without_value_is_an_empty_line() -> None:
    assert data(b"data\n\ndata:\ndata\n\n") == [b"", b"\n"]


def test_an_event_without_data_is_none_and_its_type_is_forgotten() -> None:
    assert read(b"event: error\n\ndata: a\n\n") == [ServerEvent("message", b"a")]


def test_the_type_of_an_event() -> None:
    assert read(b"event: error\ndata: a\n\n") == [ServerEvent("error", b"a")]


def test_one_byte_order_mark_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert data(mark + b"data: a\n\n") == [b"a"]
    assert data(b"data: a\n\n" + mark + b"data: b\n\n") == [b"a"]
    assert data(mark + mark + b"data: a\n\n") == []


def test_an_event_that_never_ended_is_none() -> None:
    assert data(b"data: a\n\ndata: b\n") == [b"a"]


def test_other_separators_do_not_end_a_line() -> None:
    text = "data: a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b\n\n".encode()
    assert data(text) == [text[6:-2]]


def test_a_line_that_is_too_long_is_told_before_it_ends() -> None:
    with pytest.raises(EventTooLong):
        read(b"data: ", b"x" * 100, max_bytes=64)


def test_an_event_of_many_lines_that_is_too_long_is_told() -> None:
    with pytest.raises(EventTooLong):
        read(b"data: x\n" * 100, max_bytes=64)


def test_what_came_before_the_long_event_is_given() -> None:
    reader = EventReader(event_max_bytes=64)
    got = []
    with pytest.raises(EventTooLong):  # noqa: PT012  (the events before it are the point)
        for event in reader.receive(b"data: a\n\ndata: " + b"x" * 100 + b"\n\n"):
            got.append(event.data)
    assert got == [b"a"]


LINES = st.sampled_from(
    [
        b"",
        b"",
        b"data: a",
        b"data:b",
        "data: 漢😀é".encode(),
        b"data",
        b": comment",
        b"event: error",
        b"id: 1",
        b"\xef\xbb\xbfdata: marked",
        b"x" * 50,
        b"data: " + b"y" * 70,
    ]
)
STREAMS = st.lists(
    st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])).map(b"".join), max_size=12
).map(b"".join)


def outcome(pieces: list[bytes], max_bytes: int) -> tuple[list[ServerEvent], bool]:
    reader = EventReader(event_max_bytes=max_bytes)
    events: list[ServerEvent] = []
    try:
        for piece in pieces:
            for event in reader.receive(piece):
                events.append(event)
    except EventTooLong:
        return events, True
    return events, False


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 400)), max_bytes=st.sampled_from([60, 1 << 20]))
def test_any_cut_gives_the_same_events_and_the_same_error(
    stream: bytes, cuts: list[int], max_bytes: int
) -> None:
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    single = [stream[i : i + 1] for i in range(len(stream))]
    whole = outcome([stream], max_bytes)
    assert outcome(pieces, max_bytes) == whole
    assert outcome(single, max_bytes) == whole


@given(contents=st.lists(st.text(min_size=1).map(lambda t: t.replace("\r", "").replace("\n", ""))))
def test_what_was_written_is_read(contents: list[str]) -> None:
    stream = b"".join(b"data: " + content.encode() + b"\n\n" for content in contents)
    assert data(stream) == [content.encode() for content in contents]


def test_an_event_of_very_many_lines_is_not_read_again_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a megabyte in lines of five bytes took a minute, in which the worker stood still."""
    looked: list[int] = []

    def looking(data: bytes) -> bool:
        looked.append(len(data))
        return whole(data)

    whole = sse._whole
    monkeypatch.setattr(sse, "_whole", looking)
    lines = b"data: ,[1]\n" * 10_000
    [event] = read(b"data: [1\n" + lines + b"\n")
    assert event.data.count(b"\n") == 10_000
    assert len(looked) <= sse.LOOKS_MAX
    looked.clear()
    assert len(read(b'data: {"a": {\ndata: }}\n' * 1_000)) == 999
    assert len(looked) == 999
