"""An answer on a terminal: thoughts dimmed, then the text."""

from deploy.chat.screen import command_of
from deploy.chat.written import Written, whole
from schemas.transcript import Transcript
from tests.unit.schemas.log_of import apply_all, chunk, complete, start, thought


def test_thoughts_stand_dimmed_above_the_text() -> None:
    transcript, written = Transcript(), Written()
    apply_all(transcript, start("a1", (1, 1, 0)), thought("a1", 1, "First\x1b[2J"))
    message = transcript.messages["m1"]
    assert list(written.more(message)) == [("First\ufffd[2J", "dim")]
    apply_all(transcript, thought("a1", 2, ", then."))
    assert list(written.more(message)) == [(", then.", "dim")]
    apply_all(transcript, chunk("a1", 1, "**Fo"))
    assert list(written.more(message)) == [("\n\n", ""), ("Fo", "bold")]
    apply_all(transcript, chunk("a1", 2, "ur**"), complete("a1", 2))
    assert list(written.more(message)) == [("ur", "bold")]
    assert list(written.end()) == [("\n", "")]
    assert written.clean


def test_an_attempt_that_begins_anew_begins_with_no_mark_open() -> None:
    transcript, written = Transcript(), Written()
    apply_all(transcript, start("a1", (1, 1, 0)), thought("a1", 1, "hm"), chunk("a1", 1, "**old"))
    message = transcript.messages["m1"]
    list(written.more(message))
    apply_all(transcript, start("a2", (1, 2, 0)), thought("a2", 1, "so"), chunk("a2", 1, "new"))
    told = list(written.more(message))
    assert ("so", "dim") in told
    assert ("\n[started again]\n", "dim") in told
    assert told[-1] == ("new", "")


def test_a_message_that_has_ended_is_told_whole() -> None:
    transcript = Transcript()
    events = (start("a1", (1, 1, 0)), thought("a1", 1, "hm"), chunk("a1", 1, "*so*"))
    apply_all(transcript, *events, complete("a1", 1))
    told = "".join(words for words, _ in whole(transcript.messages["m1"]))
    assert told == "> hello\n\nhm\n\nso\n\n-- m1 · complete, stop\n\n"


def test_a_line_that_is_one_word_behind_a_slash_is_a_command() -> None:
    assert [command_of(line) for line in ("/help", " /quit ", "/nope")] == ["help", "quit", "nope"]
    for message in ("/etc/hosts", "/help me", "help", "/", "/1"):
        assert command_of(message) is None
