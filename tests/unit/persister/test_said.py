"""The rows of user_messages: which record tells of a message, and who has cancelled it."""

import pytest

from schemas.events import Event
from tests.unit.persister.folding import folded
from tests.written import Say

M1 = Say("s1", "m1")


def test_the_first_event_brings_the_prompt() -> None:
    for first in (M1.queued(), M1.generating("a1"), M1.complete(None, 0, "cancelled")):
        row = folded([first]).prompts["s1", "m1"]
        assert (row["content"], row["user_id"], row["log_offset"]) == ("why?", None, None)


def test_the_users_own_record_counts_whenever_it_is_read() -> None:
    own = Say("s1", "m1", user="ada").said("as it was said")
    for events in ([own, M1.queued()], [M1.queued(), own]):
        for sizes in ([2], [1, 1]):
            row = folded(events, sizes).prompts["s1", "m1"]
            assert (row["content"], row["user_id"], row["log_offset"]) == (
                "as it was said",
                "ada",
                0,
            )


def test_of_two_records_of_an_id_the_first_counts() -> None:
    for sizes in ([3], [1, 1, 1]):
        row = folded([M1.said("first"), M1.said("second"), M1.cancel()], sizes).prompts["s1", "m1"]
        assert (row["content"], row["log_offset"], row["seen_offset"]) == ("first", 0, 2)


ADA, EVE = (
    M1.cancel("ada", "2026-01-02T03:04:06.000Z"),
    M1.cancel("eve", "2026-01-02T03:04:07.000Z"),
)
NOBODY = M1.cancel(None, "2026-01-02T03:04:05.700Z")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([M1.said()], (None, None)),
        ([M1.said(), ADA], ("ada", ADA.created_at)),
        # The second has stopped nothing.
        ([M1.said(), ADA, EVE], ("ada", ADA.created_at)),
        # Nor has it where the first has no name.
        ([M1.said(), NOBODY, EVE], (None, NOBODY.created_at)),
        # It counts in the order of its own topic, however far the answer is.
        ([*M1.answer(["a"]), M1.said(), ADA], ("ada", ADA.created_at)),
        # What comes before the message's own record stops nothing.
        ([EVE, M1.said(), ADA], ("ada", ADA.created_at)),
        ([M1.queued(), EVE, M1.said()], (None, None)),
        # Said again, it is the same message, cancelled as it was.
        ([M1.said(), ADA, M1.said(), EVE], ("ada", ADA.created_at)),
        ([M1.said(), M1.said(), ADA], ("ada", ADA.created_at)),
    ],
)
def test_the_first_who_cancels_stands_with_what_was_said(
    events: list[Event], expected: tuple[str | None, str | None]
) -> None:
    for sizes in ([10], [1] * 10, [2] * 5, [3] * 4, [1, 3, 1]):
        for crashes in ([], [True] * 3):
            row = folded(events, sizes, crashes=crashes).prompts["s1", "m1"]
            assert (row["cancelled_by"], row["cancelled_at"]) == expected


def test_a_cancel_of_what_nobody_said_leaves_no_row() -> None:
    assert not any(folded([ADA]).dump().values())
    # Its answer has told of it, so far; the record itself has not come.
    row = folded([M1.queued(), ADA], [1, 1]).prompts["s1", "m1"]
    assert (row["cancelled_by"], row["cancelled_at"]) == (None, None)


def test_an_answer_always_has_its_row_among_the_prompts() -> None:
    event = M1.complete(None, 0, "cancelled")
    tables = folded(
        [type(event)(**{f: getattr(event, f) for f in event.__struct_fields__} | {"prompt": None})]
    )
    assert tables.prompts["s1", "m1"]["content"] == ""
