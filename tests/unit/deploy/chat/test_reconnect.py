"""What the terminal client does after a close."""

import pytest

from deploy.chat.reconnect import delay_s, held_s, refused, why
from schemas.close_codes import CloseCode


@pytest.mark.parametrize("code", [1000, 1009, 4001, 4003, 4004, 4005])
def test_some_codes_are_the_end(code: int) -> None:
    assert delay_s(code, "", 0, 0.5) is None


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 4008, 4009, 4010])
def test_after_the_others_it_comes_back(code: int) -> None:
    assert delay_s(code, "", 0, 0.5) == 0.25


def test_the_delay_doubles_to_a_limit_and_is_drawn_from_the_whole_range() -> None:
    assert [delay_s(1006, "", failures, 1.0) for failures in (0, 1, 5, 6, 7, 10_000)] == [
        0.5, 1.0, 16.0, 30.0, 30.0, 30.0,
    ]  # fmt: skip
    assert delay_s(1006, "", 9, 0.0) == 0.0


def test_too_many_says_itself_how_long() -> None:
    assert delay_s(4009, '{"retry_after_ms": 1500}', 0, 0.0) == 1.5
    assert delay_s(4009, "retry_after_ms=1500", 0, 1.0) == 2.0
    assert delay_s(1012, "retry_after_ms=1500", 0, 0.0) == 0.0


def test_a_code_in_words() -> None:
    assert why(1012, "") == "the gateway restarts"
    assert why(4009, "retry_after_ms=5") == "too many connections or messages (retry_after_ms=5)"
    assert why(1006, "") == "connection lost"
    assert why(1006, "(OSError)") == "connection lost (OSError)"


@pytest.mark.parametrize(
    ("status", "later", "waits_s"),
    [(429, "7", 7.0), (429, None, 0.0), (429, "soon", 0.0), (429, "9" * 40, 0.0)],
)
def test_a_handshake_that_is_refused_is_tried_again_after_its_time(
    status: int, later: str | None, waits_s: float
) -> None:
    code, reason = refused(status, {} if later is None else {"Retry-After": later})
    assert code == CloseCode.TOO_MANY
    assert delay_s(code, reason, 0, 0.0) == waits_s


def test_another_status_is_a_connection_that_was_lost() -> None:
    assert refused(503, {"Retry-After": "7"}) == (1006, "(HTTP 503)")


def test_no_message_is_sent_before_the_time_that_a_refusal_of_one_names() -> None:
    frame = {"type": "error", "code": "rate_limited", "message_id": "m1", "retry_after_ms": 4_000}
    assert (held_s(frame, 0.0), held_s(frame, 1.0)) == (4.0, 6.0)
    others: list[dict[str, object]] = [
        {"retry_after_ms": 7_200_000},  # tomorrow, perhaps
        {"message_id": None},  # of a page of history
        {"retry_after_ms": None},
        {"cursor": "1.0.5"},
    ]
    assert [held_s(frame | other, 0.5) for other in others] == [0.0] * 4
