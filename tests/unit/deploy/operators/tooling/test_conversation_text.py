"""What `talklog replay` prints of a session."""

from deploy.operators.tooling.conversation_text import conversation, harmless
from schemas.transcript import Transcript
from tests.unit.schemas.log_of import apply_all, chunk, complete, failed, queued, released, start


def printed(transcript: Transcript) -> list[str]:
    return list(conversation(transcript.messages.values()))


def test_a_conversation_is_read_as_it_went() -> None:
    transcript = Transcript()
    apply_all(
        transcript,
        start("a1", (1, 1, 0), "m1"),
        chunk("a1", 1, "one\n\n", "m1"),
        chunk("a1", 2, "two", "m1"),
        complete("a1", 2, message_id="m1"),
        failed(None, "busy", message_id="m2"),
        queued("m3"),
    )
    assert printed(transcript) == [
        "> hello",
        "",
        "one",
        "",
        "two",
        "",
        "-- m1 · complete, stop",
        "",
        "> hello",
        "",
        "-- m2 · error busy: it failed",
        "",
        "> hello",
        "",
        "-- m3 · queued",
    ]


def test_what_went_wrong_is_said() -> None:
    transcript = Transcript()
    apply_all(transcript, start("a1", (1, 1, 0)), start("a2", (1, 2, 0)), chunk("a2", 2, "x"))
    assert printed(transcript)[-1] == (
        "-- m1 · generating · started 2 times · damaged: a chunk is missing"
    )
    apply_all(transcript, released("a2"))
    assert "released, waits" in printed(transcript)[-1]


def test_a_session_without_messages_is_no_lines() -> None:
    assert printed(Transcript()) == []


def test_a_models_text_does_not_steer_the_terminal() -> None:
    assert harmless("a\x1b[2Jb\x07\u009bc\rd\te") == "a\ufffd[2Jb\ufffd\ufffdc\ufffdd\te"
    assert harmless("héllo — \N{WAVING HAND SIGN}") == "héllo — \N{WAVING HAND SIGN}"
