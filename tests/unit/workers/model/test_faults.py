"""What follows a fault is decided by values alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.model.breaker import Heard
from workers.model.faults import (
    CONSEQUENCES,
    RETRY_MAX_S,
    RETRYABLE_BY_CODE,
    ContextTooLong,
    FaultKind,
    ModelFault,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
    ask_again_after_s,
    fault,
    not_asked,
    retry_after_s,
    told_of,
)
from workers.model.refusals import fault_of_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def again(
    failed: ModelFault, *, tries: int = 1, left_s: float = 600.0, chance: float = 0.5
) -> float | None:
    return ask_again_after_s(
        failed, tries=tries, retries=2, left_s=left_s, retry_after_max_s=20.0, chance=chance
    )


def test_every_kind_has_its_consequence() -> None:
    assert set(CONSEQUENCES) == set(FaultKind)
    for kind in FaultKind:
        assert fault(kind, "why").kind is kind


@pytest.mark.parametrize(
    ("kind", "which"),
    [
        (FaultKind.CONNECT_TIMEOUT, "connect"),
        (FaultKind.FIRST_TOKEN_TIMEOUT, "first_token"),
        (FaultKind.IDLE_TIMEOUT, "idle"),
        (FaultKind.WHOLE_TIMEOUT, "whole"),
    ],
)
def test_a_timeout_says_which_limit_passed(kind: FaultKind, which: str) -> None:
    failed = fault(kind, "why")
    assert isinstance(failed, ModelTimeout)
    assert (failed.which, failed.code, failed.retryable) == (which, "model_timeout", True)


def test_two_retries_with_full_jitter_growing() -> None:
    failed = fault(FaultKind.SERVER_ERROR, "500")
    assert again(failed, tries=1, chance=0.0) == 0.0
    assert again(failed, tries=1, chance=0.5) == 0.25
    assert again(failed, tries=2, chance=0.5) == 0.5
    assert again(failed, tries=3) is None


def test_the_jitter_is_bounded() -> None:
    wait_s = ask_again_after_s(
        fault(FaultKind.UNREACHABLE, "why"),
        tries=50,
        retries=100,
        left_s=600.0,
        retry_after_max_s=20.0,
        chance=0.999,
    )
    assert wait_s is not None
    assert wait_s < 8.0


@pytest.mark.parametrize("kind", [k for k in FaultKind if not CONSEQUENCES[k].ask_again])
def test_what_is_never_asked_again(kind: FaultKind) -> None:
    assert again(fault(kind, "why")) is None


def test_retry_after_is_waited_for_with_jitter_on_top() -> None:
    asked = fault(FaultKind.RATE_LIMITED, "429", retry_after_s=3.0)
    assert again(asked, chance=0.0) == 3.0
    assert again(asked, chance=0.5) == 3.25


def test_a_retry_after_beyond_the_bound_is_for_the_user() -> None:
    assert again(fault(FaultKind.RATE_LIMITED, "429", retry_after_s=20.0)) is not None
    assert again(fault(FaultKind.RATE_LIMITED, "429", retry_after_s=20.1)) is None


def test_no_wait_beyond_the_time_of_the_whole_answer() -> None:
    asked = fault(FaultKind.RATE_LIMITED, "429", retry_after_s=3.0)
    assert again(asked, left_s=3.2) is None
    assert again(asked, left_s=3.3) == 3.25


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 400, 999_999_999.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", None),
    ],
)
def test_retry_after_headers(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds
    assert retry_after_s(header, NOW + timedelta(0)) == seconds


@pytest.mark.parametrize(
    ("status", "codes", "message", "expected"),
    [
        (429, set(), "slow down", ModelUnavailable),
        (429, {"insufficient_quota"}, "pay", ModelRejected),
        (408, set(), "", ModelUnavailable),
        (409, set(), "", ModelUnavailable),
        (500, set(), "maximum context length", ModelUnavailable),
        (503, set(), "", ModelUnavailable),
        (529, set(), "", ModelUnavailable),
        (401, set(), "who are you", ModelRejected),
        (404, set(), "context size", ModelRejected),
        (400, set(), "bad", ModelRejected),
        (400, {"context_length_exceeded"}, "", ContextTooLong),
        (400, {"exceed_context_size_error"}, "", ContextTooLong),
        (400, set(), "This model's Maximum Context Length is 5", ContextTooLong),
        (413, set(), "exceeds the available context size", ContextTooLong),
    ],
)
def test_http_errors(
    status: int, codes: set[str], message: str, expected: type[ModelFault]
) -> None:
    failed = fault_of_status(status, codes=frozenset(codes), message=message)
    assert type(failed) is expected
    assert str(status) in failed.message


@pytest.mark.parametrize(
    ("status", "codes", "kind", "heard"),
    [
        (408, set(), FaultKind.PASSING, Heard.ANSWERED),
        (409, set(), FaultKind.PASSING, Heard.ANSWERED),
        (425, set(), FaultKind.PASSING, Heard.ANSWERED),
        (429, set(), FaultKind.RATE_LIMITED, Heard.ANSWERED),
        (429, {"insufficient_quota"}, FaultKind.QUOTA, Heard.ANSWERED),
        (404, set(), FaultKind.REJECTED, Heard.ANSWERED),
        (500, set(), FaultKind.SERVER_ERROR, Heard.FAILED),
        (599, set(), FaultKind.SERVER_ERROR, Heard.FAILED),
    ],
)
def test_what_a_status_says_of_the_address(
    status: int, codes: set[str], kind: FaultKind, heard: Heard
) -> None:
    failed = fault_of_status(status, codes=frozenset(codes), message="", retry_after_s=None)
    assert (failed.kind, failed.heard) == (kind, heard)


@given(st.integers(400, 499), st.sets(st.text(max_size=30), max_size=3), st.text(max_size=60))
def test_no_4xx_speaks_of_the_address(status: int, codes: set[str], message: str) -> None:
    failed = fault_of_status(status, codes=frozenset(codes), message=message)
    assert failed.heard is Heard.ANSWERED


@given(
    kind=st.sampled_from(FaultKind),
    tries=st.integers(1, 20),
    retries=st.integers(0, 10),
    asked_s=st.none() | st.floats(0.0, 1e9),
    left_s=st.floats(-1.0, 600.0),
    bound_s=st.floats(0.0, 60.0),
    chance=st.floats(0.0, 1.0, exclude_max=True),
)
def test_no_wait_is_beyond_a_bound(
    kind: FaultKind,
    tries: int,
    retries: int,
    asked_s: float | None,
    left_s: float,
    bound_s: float,
    chance: float,
) -> None:
    wait_s = ask_again_after_s(
        fault(kind, "why", retry_after_s=asked_s),
        tries=tries,
        retries=retries,
        left_s=left_s,
        retry_after_max_s=bound_s,
        chance=chance,
    )
    if wait_s is not None:
        assert tries <= retries
        assert (asked_s or 0.0) <= wait_s < left_s
        assert wait_s <= bound_s + RETRY_MAX_S


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,5} .*"))
def test_no_header_is_too_strange(header: str) -> None:
    seconds = retry_after_s(header, NOW)
    assert seconds is None or seconds >= 0


def test_a_long_wait_that_is_asked_for_is_told() -> None:
    failed = fault_of_status(429, codes=frozenset(), message="full", retry_after_s=3600.0)
    assert failed.message == "the model answered 429: full (it asks to wait 3600 s)"


@pytest.mark.parametrize(("left_s", "when"), [(4.2, "in 4 s"), (0.9, "soon"), (0.0, "soon")])
def test_an_open_breaker_says_when(left_s: float, when: str) -> None:
    failed = not_asked(left_s)
    assert failed.message.endswith(when)
    assert (failed.code, failed.retryable, failed.elsewhere) == ("model_unavailable", True, True)
    assert failed.retry_after_s == left_s


@pytest.mark.parametrize(
    ("first", "then", "ends"),
    [
        (FaultKind.SERVER_ERROR, FaultKind.UNREACHABLE, FaultKind.UNREACHABLE),
        (FaultKind.SERVER_ERROR, FaultKind.REJECTED, FaultKind.SERVER_ERROR),
        (FaultKind.NOT_ASKED, FaultKind.CONTEXT_TOO_LONG, FaultKind.NOT_ASKED),
        (FaultKind.QUOTA, FaultKind.SERVER_ERROR, FaultKind.SERVER_ERROR),
        (FaultKind.QUOTA, FaultKind.REJECTED, FaultKind.REJECTED),
    ],
)
def test_which_of_two_faults_is_told(first: FaultKind, then: FaultKind, ends: FaultKind) -> None:
    assert told_of(fault(first, "first"), fault(then, "then")).kind is ends


def test_a_long_message_is_cut() -> None:
    failed = fault_of_status(500, codes=frozenset(), message="x" * 100_000)
    assert len(failed.message) < 1_000


def test_every_code_says_whether_to_send_again() -> None:
    assert RETRYABLE_BY_CODE["model_timeout"]
    assert not RETRYABLE_BY_CODE["model_rejected"]
    assert not RETRYABLE_BY_CODE["retries_exhausted"]
