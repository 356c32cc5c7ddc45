"""An answer on a terminal, as it comes."""

from deploy.chat.screen import Answer, last_line
from schemas.transcript import Transcript
from tests.unit.schemas.log_of import apply_all, chunk, complete, failed, start


def test_only_what_is_new_is_written() -> None:
    transcript, written = Transcript(), Answer()
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "one\ntw"))
    message = transcript.messages["m1"]
    assert list(written.more(message)) == ["one\ntw"]
    assert list(written.more(message)) == []
    apply_all(transcript, chunk("a1", 2, "o\x1b[2J"), complete("a1", 2))
    assert list(written.more(message)) == ["o\ufffd[2J"]
    assert last_line(message) is None


def test_a_new_attempt_begins_under_a_line_of_its_own() -> None:
    transcript, written = Transcript(), Answer()
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "old"))
    message = transcript.messages["m1"]
    list(written.more(message))
    apply_all(transcript, start("a2", (1, 2, 0)), chunk("a2", 1, "new"))
    assert list(written.more(message)) == ["\n[started again]\n", "new"]


def test_an_attempt_that_goes_on_is_written_behind_what_stands_there() -> None:
    transcript, written = Transcript(), Answer()
    apply_all(transcript, start("a1", (1, 1, 0)), chunk("a1", 1, "one"))
    message = transcript.messages["m1"]
    assert list(written.more(message)) == ["one"]
    apply_all(transcript, start("a2", (1, 2, 0), continues="a1"))
    assert list(written.more(message)) == []
    apply_all(transcript, chunk("a2", 1, "one"))
    assert list(written.more(message)) == []
    apply_all(transcript, chunk("a2", 2, " two"))
    assert list(written.more(message)) == [" two"]


def test_an_answer_that_did_not_simply_end_says_how() -> None:
    transcript = Transcript()
    apply_all(transcript, start("a1", (1, 1, 0)), failed("a1", "model_timeout"))
    assert last_line(transcript.messages["m1"]) == "[m1 · error model_timeout: it failed]"
