"""A target notices when what it is about is broken: one rule taken out at a time."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.identity import claims
from gateway.socket import address, client_frame
from persister import reading
from tests.fuzz import client_frame as frames
from tests.fuzz import event, places, stream, token
from tests.fuzz.targets import CORPUS
from workers.model import sse


def entry(target: str, name: str) -> bytes:
    return (CORPUS / target / name).read_bytes()


def test_a_content_with_nul_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'{"type":"user_message","content":"a\\u0000"}'
    frames.check(data)

    def taken(frame: Any, _: object) -> client_frame.Ask:
        return client_frame.Ask(frame["content"], None, "enqueue", None)

    monkeypatch.setattr(client_frame, "_READERS", {"user_message": taken})
    with pytest.raises(ValueError, match="NUL"):
        frames.check(data)


def test_a_session_id_of_any_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"Z/ws/chat/a%20b/"
    places.check(data)
    monkeypatch.setattr(address, "_SESSION_ID", re.compile(".*"))
    with pytest.raises(AssertionError):
        places.check(data)


def test_a_token_that_is_over_and_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'Z{"exp":1600000000,"sessions":["*"]}'
    token.check(data)
    monkeypatch.setattr(claims, "_until_s", lambda given, leeway_s, _: given["exp"] + leeway_s)
    with pytest.raises(AssertionError):
        token.check(data)


def test_a_nul_that_reaches_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    data = entry("event", "nul")
    event.check(data)
    monkeypatch.setattr(reading, "without_nul", lambda text: text)
    with pytest.raises(AssertionError):
        event.check(data)


def test_a_line_end_that_is_cut_in_two_and_ends_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\1\1data: a\r\ndata: b\r\n\r\n"
    stream.check(data)

    class Forgetful(sse.EventReader):
        def receive(self, data: bytes) -> Iterator[sse.ServerEvent]:
            self._after_cr = False
            yield from super().receive(data)

    monkeypatch.setattr(stream, "EventReader", Forgetful)
    with pytest.raises(AssertionError):
        stream.check(data)
