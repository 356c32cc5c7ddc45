"""What people see of the dead letters."""

from deploy.operators.dead_letters.letter import letters
from deploy.operators.dead_letters.report import as_json, body, chosen, in_full, table
from schemas.events import encode
from tests.unit.deploy.operators.dead_letters.shelf_of import SAID, letter, note, stored


def test_a_line_for_each_letter() -> None:
    found = letters(
        [stored(0), stored(12, b"\xff", source=(0, 99), reason="not an event"), note(13, "0.0")]
    )
    head, first, second = table(found)
    assert head.split("  ")[0] == "letter"
    assert first.split() == [
        "0.0", "1970-01-01T00:00:01Z", "retries_exhausted", "3", "user_messages.3.7", "s1/m1",
        "user_messages.1.9", "redriven-x",
    ]  # fmt: skip
    assert second.split() == [
        "0.12", "1970-01-01T00:00:01Z", "not", "an", "event", "3", "user_messages.0.99", "-", "-",
    ]  # fmt: skip


def test_no_letters_no_lines() -> None:
    assert table([]) == []


def test_a_long_or_hostile_reason_stays_one_harmless_line() -> None:
    [_, line] = table([letter(reason="x\n\x1b[2J" + "y" * 500)])
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 200


def test_letters_are_chosen_by_reason_and_age() -> None:
    found = letters([stored(0, at_ms=1_000), stored(1, reason="Not an event", at_ms=2_000)])
    old, new = found
    assert chosen(found, reason="", since_ms=0) == [old, new]
    assert chosen(found, reason="not AN", since_ms=0) == [new]
    assert chosen(found, reason="", since_ms=1_001) == [new]
    assert chosen(found, reason="retries", since_ms=1_001) == []


def test_json_has_what_the_line_has() -> None:
    known = as_json(letter())
    assert known["letter"] == "0.0"
    assert (known["session_id"], known["message_id"]) == ("s1", "m1")
    assert known["redriven_as"] is None
    assert known["bytes"] == len(encode(SAID))
    assert as_json(letter(b"\xff"))["session_id"] is None


def test_in_full_shows_headers_and_original() -> None:
    text = "\n".join(in_full(letter()))
    assert "user_messages.3.7" in text
    assert "application/json" in text
    assert '"content": "hello"' in text
    assert "not redriven" in text


def test_what_is_no_json_is_shown_as_bytes() -> None:
    lines = list(body(b"\xff not json\n" + bytes(20)))
    assert lines[0] == "31 bytes, not JSON"
    assert lines[1].startswith("00000000  ff 20 6e 6f 74")
    assert lines[1].endswith(". not json......")
    assert lines[2].startswith("00000010  00")
    assert list(body(b"")) == ["0 bytes, not JSON"]
    assert next(iter(body(b'"\\ud800"'))).endswith("not JSON")


def test_json_that_would_steer_a_terminal_is_made_harmless() -> None:
    assert "\x9b" not in "".join(body('{"content": "\x9b2J"}'.encode()))
