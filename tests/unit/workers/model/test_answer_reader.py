"""One answer out of bytes: what it says, how it ends, how it breaks."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Usage
from schemas.limits import REASONING_MAX_BYTES
from tests.scripted_model.script import Script, answer_text
from tests.scripted_model.wire import GARBAGE, TOO_LONG, Wire
from workers.model.answer_reader import TOOL_CALLS_MAX, AnswerReader
from workers.model.faults import FaultKind
from workers.model.stream_events import NOTHING, Said, UnreadableEvent, read_event
from workers.model.told_errors import ToldError

DONE = b"data: [DONE]\n\n"


def chunk(content: str | None = None, **more: object) -> bytes:
    choice: dict[str, object] = {"index": 0, "delta": {"content": content}, **more}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def error(words: str) -> ToldError:
    return ToldError(None, frozenset(), words)


def read(*pieces: bytes) -> tuple[AnswerReader, str]:
    reader = AnswerReader()
    text = ""
    for piece in pieces:
        assert not reader.done
        assert reader.broken is None
        text += reader.receive(piece)
    return reader, text


def test_an_answer_in_order() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
    reader, text = read(chunk("a"), chunk("b"), chunk(finish_reason="length"), usage, DONE)
    assert (text, reader.done, reader.finish_reason) == ("ab", True, "length")
    assert reader.usage == Usage(prompt_tokens=3, completion_tokens=2)


def test_nothing_after_done_counts() -> None:
    reader, text = read(chunk("a", finish_reason="stop") + DONE + chunk("b") + GARBAGE)
    assert (text, reader.broken, reader.finish_reason) == ("a", None, "stop")


@pytest.mark.parametrize("rubbish", [GARBAGE, TOO_LONG, b"data: 7\n\n", b"data: [[\n\n"])
def test_rubbish(rubbish: bytes) -> None:
    before, _ = read(rubbish)
    assert before.broken is not None
    assert before.broken.code == "model_unavailable"
    # In the same read as the text, too.
    for pieces in ([chunk("a"), rubbish], [chunk("a") + rubbish]):
        after, text = read(*pieces)
        assert (text, after.done, after.finish_reason) == ("a", True, None)
        assert after.broken_off
    at_the_end, _ = read(chunk("a", finish_reason="stop"), rubbish)
    assert (at_the_end.done, at_the_end.finish_reason) == (True, "stop")
    assert at_the_end.broken_off is None


def test_an_error_in_the_stream_gives_the_text_before_it_first() -> None:
    error = b'data: {"error": {"message": "no more memory"}}\n\n'
    reader, text = read(chunk("a") + error + chunk("b"))
    assert text == "a"
    assert reader.broken is not None
    assert "no more memory" in reader.broken.message
    late, _ = read(chunk("a", finish_reason="stop") + error)
    assert late.broken is None


def test_a_thought_by_a_name_that_nobody_knows_is_a_sign_of_life() -> None:
    """Some servers greet in every event; a thought among them was taken for a greeting."""
    reader = AnswerReader()
    delta = {"role": "assistant", "content": "", "inner_voice": "hm"}
    reader.receive(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
    assert (reader.alive, reader.pieces) == (True, [])


def calls(*pieces: dict[str, object]) -> bytes:
    delta = {"role": "assistant", "content": None, "tool_calls": list(pieces)}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def test_tool_calls_are_counted_however_they_are_cut() -> None:
    one = {"index": 0, "id": "t1", "function": {"name": "look_up", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    other = {"index": 1, "id": "t2", "function": {"name": "look_up", "arguments": "{}"}}
    reader, text = read(calls(one), calls(more), calls(more, other), chunk(finish_reason="stop"))
    assert (text, reader.tool_calls, reader.alive) == ("", 2, True)
    without_ids, _ = read(calls({"index": 0}), calls({"index": 0}), calls({"index": 1}))
    assert without_ids.tool_calls == 2
    same_index, _ = read(calls({"index": 0, "id": "a"}), calls({"index": 0, "id": "b"}))
    assert same_index.tool_calls == 2
    same_id, _ = read(calls(one), calls(one))
    assert same_id.tool_calls == 1
    many = [{"index": n, "id": f"t{n}"} for n in range(TOOL_CALLS_MAX + 9)]
    assert read(calls(*many))[0].tool_calls == TOOL_CALLS_MAX


def test_reasoning_is_bounded_and_its_rest_is_a_sign_of_life() -> None:
    reader = AnswerReader()
    kept = 0
    for _ in range(40):
        delta = {"reasoning_content": "é" * 5_000}
        reader.receive(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
        kept += sum(len(piece.content.encode()) for piece in reader.pieces)
        assert reader.alive
    assert kept == REASONING_MAX_BYTES
    assert reader.receive(chunk("a")) == "a"


def test_an_answer_of_reasoning_only_ends_as_the_model_said() -> None:
    thought = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    reader, text = read(thought, chunk(finish_reason="stop"))
    reader.lose("cut")
    assert (text, reader.finish_reason, reader.broken, reader.broken_off) == (
        "",
        "stop",
        None,
        None,
    )
    cut, _ = read(thought)
    cut.lose("cut")
    assert cut.broken is not None


def test_signs_of_life() -> None:
    reader = AnswerReader()
    for piece, alive in [
        (b": waiting\n\n", False),
        (b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n', False),
        (b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n', True),
        (b'data: {"choices": [{"delta": {"role": "assistant", "reasoning": {"a": 1}}}]}\n\n', True),
        (b'data: {"choices": [{"delta": {"tool_calls": []}}]}\n\n', True),
        (b'data: {"choices": []}\n\n', False),
        (chunk("a"), True),
        (b": waiting\n\n", False),
    ]:
        reader.receive(piece)
        assert reader.alive is alive, piece


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", Said()),
        (b'{"choices": null}', Said()),
        (b'{"choices": [{"index": 1, "delta": {"content": "other"}}]}', Said()),
        (b'{"choices": [{"delta": null, "finish_reason": "stop"}]}',
         Said(finish_reason="stop", alive=True)),
        (b'{"choices": [], "usage": {"prompt_tokens": "many"}}', Said()),
        (b'{"choices": [], "usage": null, "error": null, "x": [{"y": 1}]}', Said()),
        (b'{"error": "plain"}', Said(error=error("plain"))),
        (b'{"error": {"message": "a\\ud800"}}', Said(error=error("a\ufffd"))),
        (b'{"error": {}}', Said()),
        (b'{"error": "", "choices": [{"delta": {"content": "a"}}]}', Said("a", alive=True)),
        (b'{"error": false, "choices": [{"delta": {"content": "a"}}]}', Said("a", alive=True)),
        (b"null", NOTHING),
        (b"", NOTHING),
        (b'"x"', Said(error=error("x"))),
        (b'{"choices": 7}', Said()),
        (b'{"choices": [{"delta": {"content": 7}}]}', Said(alive=True)),
        (b'{"choices": [{"index": null, "delta": {"content": "a"}}]}', Said("a", alive=True)),
        (b'{"choices": [{"index": "0", "delta": {"content": "a"}}]}', Said("a", alive=True)),
        (b'{"choices": [{"delta": {"content": "a"}, "logprobs": NaN}]}', Said("a", alive=True)),
        (b'{"choices": [{"delta": {"content": [{"type": "text", "text": "a"}, "b"]}}]}',
         Said("ab", alive=True)),
        (b'{"choices": [{"delta": {"content": [{"type": "thinking", "thinking": []}]}}]}',
         Said(alive=True)),
        (b'{"choices": [{"delta": {}, "finish_reason": "null"}]}', Said(alive=True)),
        (b'{"choices": [{"delta": {}, "finish_reason": "SAFETY"}]}',
         Said(finish_reason="content_filter", alive=True)),
        (b'{"choices": [{"delta": {}, "finish_reason": "abort"}]}',
         Said(finish_reason="incomplete", alive=True)),
        (b'{"choices": [], "usage": {"input_tokens": "3", "output_tokens": 2.0}}',
         Said(usage=Usage(prompt_tokens=3, completion_tokens=2))),
        (b'{"object": "error", "message": "m", "code": 503}',
         Said(error=ToldError(503, frozenset({"503"}), "m"))),
        (b'{"choices": [{"delta": {"content": "a\\u0000b"}}]}', Said("a\ufffdb", alive=True)),
        (b'{"choices": [{"delta": {"content": "a\\ud83d b"}}]}', Said("a\ufffd b", alive=True)),
        (b'{"choices": [{"delta": {"content": "\\ud83d\\ude00"}}]}', Said("😀", alive=True)),
        (b'{"choices": [{"delta": {"content": "a\xff"}}]}', Said("a\ufffd", alive=True)),
    ],
)  # fmt: skip
def test_events(data: bytes, said: Said) -> None:
    assert read_event(data) == said


@pytest.mark.parametrize(
    "data",
    [b"7", b"[]", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"{", b"\xff"],
)  # fmt: skip
def test_unreadable_events(data: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_event(data)


@given(data=st.binary(max_size=200))
def test_any_bytes_give_an_event_or_are_unreadable(data: bytes) -> None:
    try:
        said = read_event(data)
    except UnreadableEvent:
        return
    said.content.encode()


@given(
    pieces=st.lists(
        st.sampled_from(["opening", "tokens", "finish", "done", "garbage"]), max_size=6
    ),
    cuts=st.lists(st.integers(0, 3000)),
    dress=st.sets(st.sampled_from(["crlf", "comments", "reasoning", "emoji", "nul"])),
)
def test_any_cut_of_a_stream_gives_the_same_answer(
    pieces: list[str], cuts: list[int], dress: set[str]
) -> None:
    wire = Wire(Script(key="m1", dress=frozenset(dress)), 1, "model")
    made = {
        "opening": wire.opening(),
        "tokens": wire.tokens(0, 3),
        "finish": wire.finish(),
        "done": wire.done(),
        "garbage": GARBAGE,
    }
    stream = b"".join(made[piece] for piece in pieces)
    assert _outcome([stream]) == _outcome(_cut(stream, cuts))


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def _outcome(pieces: list[bytes]) -> tuple[object, ...]:
    reader = AnswerReader()
    text = ""
    for piece in pieces:
        if reader.done or reader.broken is not None:
            break
        text += reader.receive(piece)
    broken = reader.broken.kind if reader.broken else None
    return text, reader.done, reader.finish_reason, broken, bool(reader.broken_off)


def test_the_wire_and_the_reader_agree() -> None:
    wire = Wire(Script(key="m1", tokens=5), 1, "model")
    _, text = read(wire.opening(), wire.tokens(0, 5), wire.finish(), wire.done())
    assert text == answer_text("m1", 1, 5)


def test_a_stream_that_just_ends() -> None:
    reader, text = read(chunk("a"))
    assert (text + reader.end(), reader.done, reader.finish_reason) == ("a", True, None)
    assert reader.broken is None


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\n\xef\xbb\xbf", b"\xef\xbb\xbf\n", b""])
def test_a_whole_answer_is_one_wherever_its_first_bytes_are_cut(mark: bytes) -> None:
    """A byte order mark that came in two reads made a stream of a body, and its lines no events."""
    told = {"choices": [{"message": {"content": "whole"}}]}
    body = mark + json.dumps(told, indent=1).encode()
    whole = _to_the_end([body])
    for at in range(5):
        assert _to_the_end([body[:at], body[at:]]) == whole
        assert _to_the_end([body[at : at + 1] for at in range(len(body))]) == whole


def test_a_byte_order_mark_that_never_was_whole_is_no_answer() -> None:
    text, *_, broken, _ = _to_the_end([b"\xef\xbb"])
    assert (text, broken) == ("", FaultKind.NO_STREAM)


def _to_the_end(pieces: list[bytes]) -> tuple[object, ...]:
    reader = AnswerReader()
    text = "".join([*(reader.receive(piece) for piece in pieces), reader.end()])
    broken = reader.broken.kind if reader.broken else None
    return text, reader.done, reader.finish_reason, broken, bool(reader.broken_off)
