"""Origins as people type them are what browsers send, or are refused at the start by name.

Seen: the README's smallest client was closed with 4003 on another local port, nothing was printed
anywhere, and an entry with a slash at its end never matched.
"""

import pytest
import structlog
from websockets.datastructures import Headers

from gateway.origins import BadOrigin, normalised
from gateway.settings import GatewaySettings
from gateway.socket.admission import Admission, Refusal
from schemas.process.settings import SettingsError, load
from tests.unit.gateway.limits.alone import limiter


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://chat.example", "https://chat.example"),
        ("https://Chat.Example/", "https://chat.example"),
        ("https://chat.example:443", "https://chat.example"),
        ("http://chat.example:80/", "http://chat.example"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("null", "null"),
    ],
)
def test_what_people_type_is_what_a_browser_sends(typed: str, origin: str) -> None:
    assert normalised(f" {typed} ,") == [origin]


@pytest.mark.parametrize(
    "typed",
    [
        "*",
        "http://*.example",
        "chat.example",
        "localhost:3000",
        "ws://chat.example",
        "https://chat.example/page",
        "https://chat.example?x",
        "http://",
        "https://a b",
        "http://u:p@chat.example",
        "http://chat.example:x",
    ],
)
def test_what_no_browser_sends_is_refused_by_name(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadOrigin):
        normalised(typed)
    environ = {"TALKLOG_EPOCH": "1", "TALKLOG_ORIGINS": f"http://localhost:8000,{typed}"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="TALKLOG_ORIGINS"):
        load(GatewaySettings, environ)


def admit(admission: Admission, origin: str) -> None:
    headers = Headers([("Host", "localhost:8000"), ("Origin", origin)])
    admission.place(headers, "/ws/chat/s/", "127.0.0.1")


def test_an_origin_that_is_refused_is_logged_once_and_one_that_is_listed_is_let_in() -> None:
    settings = GatewaySettings(epoch=1, origins="http://localhost:3000/,null")
    server = Admission(settings, limiter(), None)
    admit(server, "http://localhost:3000")
    admit(server, "null")
    with structlog.testing.capture_logs() as logged:
        for origin in ("http://localhost:9000", "http://localhost:9000", "http://evil.example"):
            with pytest.raises(Refusal, match="TALKLOG_ORIGINS"):
                admit(server, origin)
        for number in range(1000):
            with pytest.raises(Refusal):
                admit(server, f"http://{number}.example")
    assert [line["origin"] for line in logged[:2]] == [
        "http://localhost:9000",
        "http://evil.example",
    ]
    assert len(logged) == 100
    assert {line["client"] for line in logged} == {"127.0.0.1"}
