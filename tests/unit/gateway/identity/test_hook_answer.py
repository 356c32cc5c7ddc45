"""What a backend says of a visitor, and how long that may be given again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.hook_answer import (
    KEPT_MAX_S,
    LASTS_MAX_S,
    LASTS_S,
    Answer,
    BadAnswer,
    answer_of,
)
from gateway.identity.kept_answers import KeptAnswers
from gateway.identity.rights import VERBS, Rights

NOW_S = 1_700_000_000.0


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_an_answer_is_the_claims_of_a_token_without_its_times() -> None:
    found = answer_of(200, said(sub="alice", sessions=["{sub}-*"], cache_s=5), NOW_S)
    assert found == Answer(Rights("alice", ("{sub}-*",), VERBS, NOW_S + LASTS_S), 5.0)
    short = answer_of(200, said(sessions=["*"], expires_in_s=3, cache_s=60, exp=1), NOW_S)
    assert short.rights is not None
    assert short.rights.until_s == NOW_S + 3
    assert short.kept_s == 3.0


def test_nobody_and_nothing_of_his() -> None:
    assert answer_of(401, b"", NOW_S) == Answer(None, 0.0)
    assert answer_of(401, said(cache_s=9), NOW_S).kept_s == 9.0
    forbidden = answer_of(403, b"<html>", NOW_S).rights
    assert forbidden is not None
    assert not forbidden.may("read", "alice-1")
    without = answer_of(200, said(sub="alice"), NOW_S).rights
    assert without is not None
    assert not without.may("read", "alice-1")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, said(sessions=["*"])),
        (302, b""),
        (404, b""),
        (204, b""),
        (200, b""),
        (200, b"[]"),
        (200, b"[" * 10_000),
        (200, said(sub="a\nb")),
        (200, said(sessions="*")),
        (200, said(expires_in_s="soon")),
        (200, said(expires_in_s=-1)),
        (200, said(expires_in_s=0)),
        (200, said(cache_s=True)),
        (401, said(cache_s="long")),
    ],
)
def test_anything_else_says_nothing_of_the_visitor(status: int, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        answer_of(status, body, NOW_S)


def test_what_is_too_long_is_the_most() -> None:
    found = answer_of(200, said(sessions=["*"], expires_in_s=10**400, cache_s=1e300), NOW_S)
    assert found.rights is not None
    assert (found.rights.until_s, found.kept_s) == (NOW_S + LASTS_MAX_S, KEPT_MAX_S)


@given(st.integers(100, 599), st.binary(max_size=50))
def test_any_answer_is_rights_or_said_to_be_none(status: int, body: bytes) -> None:
    try:
        found = answer_of(status, body, NOW_S)
    except BadAnswer:
        return
    assert status in (200, 401, 403)
    assert found.rights is None or not found.rights.over(NOW_S)


def test_answers_are_kept_as_long_as_they_say_and_the_oldest_go() -> None:
    kept = KeptAnswers(most=2)
    long, never = Answer(None, 10.0), Answer(None, 0.0)
    kept.put(b"never", never, 0.0)
    assert kept.get(b"never", 0.0) is None
    for key in (b"1", b"2", b"3"):
        kept.put(key, long, 0.0)
    assert [kept.get(key, 9.9) for key in (b"1", b"2", b"3")] == [None, long, long]
    assert kept.get(b"3", 10.0) is None
    kept.put(b"2", never, 1.0)
    assert kept.get(b"2", 1.0) is None
