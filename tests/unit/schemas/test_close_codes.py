"""What a client does after each close code."""

from schemas.close_codes import RECONNECT, CloseCode


def test_codes_that_a_client_must_not_answer_by_connecting_again() -> None:
    assert set(CloseCode) - RECONNECT == {
        CloseCode.NORMAL,
        CloseCode.FRAME_TOO_BIG,
        CloseCode.FORBIDDEN,
        CloseCode.BAD_SESSION,
        CloseCode.PROTOCOL_ERROR,
    }


def test_every_code_is_one_that_a_server_may_send() -> None:
    # RFC 6455, 7.4: 1005, 1006 and 1015 are never sent; 4000 to 4999 are for private use.
    sendable = {1000, 1001, 1009, 1012}
    assert all(code in sendable or 4000 <= code < 5000 for code in CloseCode)
