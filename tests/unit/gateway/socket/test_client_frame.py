"""What a client's frame asks for, and how a bad one is refused."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.socket.client_frame import Ask, BadFrame, Ping, RenewToken, Stop, parse
from schemas.limits import CONTENT_MAX_BYTES, FRAME_MAX_BYTES


def ask(**fields: object) -> str:
    return json.dumps({"type": "user_message", "content": "Hello", **fields})


def test_the_simplest_message() -> None:
    assert parse('{"type":"user_message","content":"Hello"}') == Ask("Hello", None, "enqueue", None)


def test_every_field_of_a_message() -> None:
    frame = ask(message_id="m-1", on_busy="interrupt", model="big", unknown=1)
    assert parse(frame, {"big"}) == Ask("Hello", "m-1", "interrupt", "big")


def test_the_other_requests() -> None:
    assert parse('{"type":"cancel"}') == Stop(None)
    assert parse('{"type":"cancel","message_id":"m1"}') == Stop("m1")
    assert parse('{"type":"ping","nonce":7}') == Ping(7)
    assert parse('{"type":"ping"}') == Ping(None)
    assert parse('{"type":"token","token":"t"}') == RenewToken("t")


@pytest.mark.parametrize(
    ("frame", "code", "says"),
    [
        ("", "bad_frame", "not JSON"),
        ("hello", "bad_frame", "not JSON"),
        ('{"type":"ping","nonce":NaN}', "bad_frame", "not JSON"),
        ('{"type":"ping"}{}', "bad_frame", "not JSON"),
        ("[]", "bad_frame", "not a JSON object"),
        ('"text"', "bad_frame", "not a JSON object"),
        ("{}", "bad_frame", "type"),
        ('{"type":1}', "bad_frame", "type"),
        ('{"type":"shout"}', "unknown_type", "'shout'"),
        ("[" * 60_000, "bad_frame", "nested too deeply"),
        ('{"type":' * 8_000, "bad_frame", "nested too deeply"),
        ('{"type":"user_message","content":"\\ud800"}', "bad_frame", "lone surrogate"),
        ('{"type":"user_message","content":"\\ud83d\\ude00 \\udfff"}', "bad_frame", "surrogate"),
        (ask(content="a\0b"), "bad_frame", "NUL"),
        (ask(content=None), "bad_frame", "content"),
        (ask(content=5), "bad_frame", "content"),
        (ask(content=""), "content_empty", "empty"),
        (ask(content=" \n\t"), "content_empty", "empty"),
        (ask(content="x" * 32_769), "content_too_long", "32768"),
        (ask(content="é" * 16_385), "content_too_long", "32770"),
        (ask(message_id=""), "bad_message_id", "1 to 64"),
        (ask(message_id="a b"), "bad_message_id", "1 to 64"),
        (ask(message_id="m1\n"), "bad_message_id", "1 to 64"),
        (ask(message_id="x" * 65), "bad_message_id", "1 to 64"),
        (ask(message_id=7), "bad_message_id", "1 to 64"),
        (ask(on_busy="shout"), "bad_frame", "on_busy"),
        (ask(on_busy=["enqueue"]), "bad_frame", "on_busy"),
        (ask(model="other"), "bad_model", "'other'"),
        (ask(model=["big"]), "bad_model", "big"),
        ('{"type":"ping","nonce":{}}', "bad_frame", "nonce"),
        (json.dumps({"type": "ping", "nonce": "x" * 257}), "bad_frame", "nonce"),
        (json.dumps({"type": "ping", "nonce": 10**30}), "bad_frame", "nonce"),
        ('{"type":"token"}', "bad_frame", "token"),
        ('{"type":"history","limit":0}', "bad_frame", "1 to 100"),
        ('{"type":"history","limit":101}', "bad_frame", "1 to 100"),
        ('{"type":"history","limit":true}', "bad_frame", "1 to 100"),
        ('{"type":"history","limit":1.5}', "bad_frame", "1 to 100"),
        ('{"type":"history","before":"a b"}', "bad_message_id", "before"),
    ],
)
def test_a_bad_frame_is_told_what_to_change(frame: str, code: str, says: str) -> None:
    with pytest.raises(BadFrame, match=r"\w") as refusal:
        parse(frame, {"big"})
    assert refusal.value.code == code
    assert says in str(refusal.value)


def test_the_longest_content_is_taken() -> None:
    assert parse(ask(content="é" * 16_384)) == Ask("é" * 16_384, None, "enqueue", None)


@given(st.sampled_from("a\x01é\u20ac\U0001f600"), st.sampled_from(["\\u", "plain"]))
def test_the_longest_content_fits_into_a_frame_however_it_is_written(
    character: str, how: str
) -> None:
    content = character * (CONTENT_MAX_BYTES // len(character.encode()))
    written = json.dumps(content)
    if how == "\\u":
        units = content.encode("utf-16-be")
        written = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        written = f'"{written}"'
    fields = f'"message_id":"{"m" * 64}","on_busy":"interrupt","model":"{"x" * 256}"'
    frame = f'{{"type":"user_message","content":{written},{fields}}}'
    assert len(frame.encode()) <= FRAME_MAX_BYTES
    request = parse(frame, {"x" * 256})
    assert isinstance(request, Ask)
    assert request.content == content


def test_a_refusal_names_the_message_if_it_has_a_good_id() -> None:
    with pytest.raises(BadFrame) as refusal:
        parse(ask(message_id="m1", content=""))
    assert refusal.value.message_id == "m1"


@given(st.text())
def test_any_text_is_a_request_or_a_bad_frame(text: str) -> None:
    with suppress(BadFrame):
        parse(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_value_in_any_field_is_a_request_or_a_bad_frame(value: object) -> None:
    for field in (
        "type",
        "content",
        "message_id",
        "on_busy",
        "model",
        "nonce",
        "token",
        "limit",
        "before",
    ):
        for kind in ("user_message", "cancel", "ping", "token", "history"):
            with suppress(BadFrame):
                parse(json.dumps({"type": kind, "content": "x", field: value}))
