"""One connection: frames come in, time passes, actions come out."""

from gateway.socket.protocol import Beat, Close, Protocol, Send, StopAnswer, Submit
from schemas.close_codes import CloseCode
from schemas.events import UserMessage
from schemas.frames import Pong, Refused

AT = "2026-01-01T00:00:00.000Z"


def protocol(now_s: float = 0.0) -> Protocol:
    return Protocol("s1", now_s, lambda: "made", {"big"})


def test_a_message_is_submitted_with_the_id_it_came_with() -> None:
    frame = (
        '{"type":"user_message","content":"Hi","message_id":"m1","on_busy":"reject","model":"big"}'
    )
    assert protocol().receive(frame, AT) == [
        Submit(
            UserMessage(
                session_id="s1",
                message_id="m1",
                created_at=AT,
                content="Hi",
                on_busy="reject",
                model="big",
            )
        )
    ]


def test_a_message_without_an_id_is_given_one() -> None:
    (action,) = protocol().receive('{"type":"user_message","content":"Hi"}', AT)
    assert isinstance(action, Submit)
    assert action.message.message_id == "made"


def test_ping_is_answered_by_pong() -> None:
    assert protocol().receive('{"type":"ping","nonce":"n"}', AT) == [
        Send(Pong(session_id="s1", nonce="n"))
    ]


def test_cancel_stops_the_named_message_or_the_running_one() -> None:
    assert protocol().receive('{"type":"cancel","message_id":"m1"}', AT) == [StopAnswer("m1", AT)]
    assert protocol().receive('{"type":"cancel"}', AT) == [StopAnswer(None, AT)]


def test_a_token_is_unsupported_where_there_is_no_authentication() -> None:
    (action,) = protocol().receive('{"type":"token","token":"t"}', AT)
    assert isinstance(action, Send)
    assert isinstance(action.frame, Refused)
    assert action.frame.code == "unsupported"


def test_a_bad_frame_is_refused_and_the_socket_stays_open() -> None:
    (action,) = protocol().receive("{", AT)
    assert isinstance(action, Send)
    assert isinstance(action.frame, Refused)
    assert (action.frame.code, action.frame.retryable) == ("bad_frame", False)


def test_ten_bad_frames_in_a_row_end_the_connection() -> None:
    one = protocol()
    for _ in range(9):
        assert len(one.receive("{", AT)) == 1
    assert one.receive("{", AT)[1] == Close(CloseCode.PROTOCOL_ERROR, "10 bad frames in a row")


def test_a_good_frame_forgives_the_bad_ones_before_it() -> None:
    one = protocol()
    for _ in range(9):
        one.receive("{", AT)
    one.receive('{"type":"ping"}', AT)
    assert len(one.receive("{", AT)) == 1


def test_a_binary_frame_ends_the_connection() -> None:
    assert protocol().receive(b"{}", AT) == [Close(CloseCode.PROTOCOL_ERROR, "binary frame")]


def test_a_heartbeat_after_fifteen_seconds_of_silence() -> None:
    one = protocol(now_s=100.0)
    assert one.tick(114.9) == []
    assert one.tick(115.0) == [Beat()]
    assert one.tick(116.0) == []
    assert one.tick(130.0) == [Beat()]


def test_what_is_said_puts_the_heartbeat_off() -> None:
    one = protocol(now_s=100.0)
    one.spoke(110.0)
    assert one.tick(115.0) == []
    assert one.tick(125.0) == [Beat()]


def test_connections_that_joined_in_one_moment_beat_in_many() -> None:
    beats = set()
    for number in range(50):
        one = Protocol("s1", 100.0, lambda: "made", heartbeat_s=10.0 + number / 10)
        beats.add(next(second for second in range(100, 120) if one.tick(float(second))))
    assert beats == set(range(110, 116))


def idle_after(limit_s: float) -> Protocol:
    return Protocol("s1", 100.0, lambda: "made", idle_limit_s=limit_s)


def test_a_socket_on_which_nothing_is_said_for_the_limit_is_closed_as_idle() -> None:
    one = idle_after(60.0)
    assert one.tick(159.9) == [Beat()]
    assert one.tick(160.0) == [Close(CloseCode.IDLE, "nothing was said for 60 s")]


def test_what_is_asked_and_what_is_delivered_keep_a_socket_open() -> None:
    one = idle_after(60.0)
    one.receive('{"type":"cancel"}', AT)
    assert one.tick(150.0) == [Beat()]
    one.delivered()
    assert one.tick(200.0) == [Beat()]
    assert one.tick(259.9) == [Beat()]
    assert [type(action) for action in one.tick(260.0)] == [Close]


def test_a_ping_asks_whether_a_socket_lives_and_does_not_keep_it_open() -> None:
    one = idle_after(60.0)
    one.receive('{"type":"ping","nonce":1}', AT)
    one.spoke(150.0)
    assert [type(action) for action in one.tick(160.0)] == [Close]


def test_without_a_limit_an_idle_socket_stays_open() -> None:
    assert protocol(now_s=100.0).tick(1e9) == [Beat()]
