"""Which sessions a pattern names, and what may be done there."""

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.identity.rights import EVERYTHING, VERBS, Rights, Verb, fits

ids = st.text("ab-.*", max_size=8)
patterns = st.lists(st.sampled_from(["a", "b", "-", "*", "{sub}", "{", "sub}", "."]), max_size=8)


@pytest.mark.parametrize(
    ("pattern", "session_id", "is_its"),
    [
        ("alice-*", "alice-1", True),
        ("alice-*", "alice-", True),
        ("alice-*", "alice", False),
        ("alice-*", "malice-1", False),
        ("alice-*", "Alice-1", False),
        ("*", "anything", True),
        ("room", "room", True),
        ("room", "room2", False),
        ("", "room", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*a", "a", False),
        ("{sub}-*", "alice-1", True),
        ("{sub}-*", "bob-1", False),
        ("team.{sub}.*", "team.alice.x", True),
        ("a.c", "abc", False),
        ("[ab]*", "a1", False),
    ],
)
def test_a_pattern_is_letters_and_stars(pattern: str, session_id: str, is_its: bool) -> None:
    assert fits(pattern, "alice", session_id) is is_its


@given(patterns.map("".join), st.one_of(st.none(), ids), ids)
@example("*{sub}*", "*", "ab")
@example("*ab*ab", None, "ab")
def test_a_pattern_means_what_its_regular_expression_means(
    pattern: str, subject: str | None, session_id: str
) -> None:
    parts = (re.escape(part) for part in pattern.split("*"))
    expression = ".*".join(parts).replace(re.escape("{sub}"), re.escape(subject or ""))
    nobody = subject is None and "{sub}" in pattern
    assert fits(pattern, subject, session_id) is (
        not nobody and re.fullmatch(expression, session_id) is not None
    )


@given(ids, ids)
def test_no_subject_reaches_further_than_its_own_letters(subject: str, rest: str) -> None:
    assert fits("{sub}:*", subject, f"{subject}:{rest}")
    assert not fits("{sub}:*", subject, f"x{subject}:{rest}")


@given(st.integers(1, 60))
def test_many_stars_cost_no_more_than_their_letters(stars: int) -> None:
    # With a search that tries again, 60 stars against 255 letters do not end.
    assert not fits("a*" * stars + "b", None, "a" * 255)


@pytest.mark.parametrize(
    ("verbs", "asked", "session_id"),
    [
        (verbs, asked, session_id)
        for verbs, asked, session_id in product(
            [("read",), ("say",), ("read", "say"), ("read", "cancel"), tuple(VERBS), ()],
            sorted(VERBS),
            ["alice-1", "bob-1", "alice", "talklog-canary-1"],
        )
    ],
)
def test_token_verb_and_session(verbs: tuple[Verb, ...], asked: Verb, session_id: str) -> None:
    rights = Rights("alice", ("{sub}-*", "shared"), frozenset(verbs))
    assert rights.may(asked, session_id) is (asked in verbs and session_id == "alice-1")


def test_when_the_time_is_over_it_is_over() -> None:
    rights = Rights("alice", ("*",), VERBS, until_s=10.0)
    assert not rights.over(9.9)
    assert rights.over(10.0)
    assert not EVERYTHING.over(1e15)
