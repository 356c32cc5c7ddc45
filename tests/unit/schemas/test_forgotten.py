"""A session that was forgotten stays so, whatever is still written of what was said before."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import SessionEvent
from schemas.transcript import Outcome, Place, Transcript
from tests.written import Say

SAID_BEFORE = 50
BEFORE, AFTER = "before", "after"


def every_event(say: Say, text: str) -> list[SessionEvent]:
    """All that can be written of a message; each text in it names it."""
    return [
        say.queued(),
        say.generating("a1", (1, 1, 0)),
        say.generating("a2", (9, 9, 9), continues="a1"),
        say.thought("a1", 1, text),
        say.chunk("a1", 1, text),
        say.chunk("a2", 1, text),
        say.alive("a1"),
        say.cancelling("a2"),
        say.released("a1"),
        say.complete("a1", 1),
        say.complete(None, 0),
        say.failed("a2", "internal"),
        say.failed(None, "busy"),
    ]


def said(message_id: str, text: str, prompt_offset: int | None) -> Say:
    return Say("s", message_id, content=text, prompt_offset=prompt_offset)


old = [
    event
    for message_id, offset in (("m1", 1), ("m2", SAID_BEFORE - 1), ("m3", None))
    for event in every_event(said(message_id, BEFORE, offset), BEFORE)
]
new = every_event(said("m4", AFTER, SAID_BEFORE), AFTER)
erased = Say("s", "f").forgotten(SAID_BEFORE)


def folded(events: Sequence[SessionEvent]) -> Transcript:
    transcript = Transcript()
    for offset, event in enumerate(events):
        transcript.apply(event, Place(1, offset))
    return transcript


def everything(transcript: Transcript) -> str:
    return repr(transcript.messages)


@given(st.lists(st.sampled_from(old)), st.lists(st.sampled_from(old + new)))
def test_nothing_of_before_comes_back(
    earlier: list[SessionEvent], later: list[SessionEvent]
) -> None:
    transcript = folded([*earlier, erased, *later])
    assert BEFORE not in everything(transcript)
    # And what was said afterwards is what it would be if nothing else had ever been.
    alone = folded([*earlier, erased, *(event for event in later if event in new)])
    assert {m: (a.text, a.state) for m, a in transcript.messages.items()} == {
        m: (a.text, a.state) for m, a in alone.messages.items()
    }


@given(st.lists(st.sampled_from(old), min_size=1), st.lists(st.sampled_from(new)))
def test_read_again_the_event_takes_nothing_of_what_was_said_since(
    earlier: list[SessionEvent], later: list[SessionEvent]
) -> None:
    log = [*earlier, erased, *later]
    transcript = folded(log)
    before = everything(transcript)
    at = Place(1, len(earlier))
    assert transcript.apply(erased, at) is Outcome.REPEATED
    for offset, event in enumerate(log):  # and all of the log once more
        transcript.apply(event, Place(1, offset))
    assert BEFORE not in everything(transcript)
    assert transcript.messages.keys() == folded(log).messages.keys()
    assert before == everything(folded(log))


def test_offsets_of_topics_that_were_made_anew_are_other_offsets() -> None:
    transcript = folded([erased])
    said_anew = said("m5", AFTER, 3).generating("a1")
    assert transcript.apply(said_anew, Place(2, 0)) is Outcome.STARTED


def test_without_such_an_event_a_writer_need_not_say_where_the_prompt_lies() -> None:
    assert folded([said("m3", BEFORE, None).generating("a1")]).messages.keys() == {"m3"}
