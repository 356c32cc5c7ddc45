"""Who is let in: token by verb by session, from the handshake to the frames on an open socket."""

import asyncio
import json
import time
from itertools import product
from typing import Any, cast
from urllib.parse import quote

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway.identity.claims import BadToken, CantTell, Expected
from gateway.identity.hook import Hook, Visitor
from gateway.identity.rights import EVERYTHING, VERBS, Rights
from gateway.identity.signature import secret_key, signed
from gateway.identity.tokens import Tokens
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Who
from gateway.settings import GatewaySettings
from gateway.socket.admission import Admission, OwnPass, Refusal
from gateway.socket.protocol import Protocol, Renew, Send
from schemas.close_codes import CloseCode
from schemas.frames import Refused
from tests.unit.gateway.identity.minted import SECRET
from tests.unit.gateway.limits.alone import limiter

KEY = secret_key(SECRET, "HS256")
JWT = GatewaySettings(epoch=1, auth="jwt", jwt_secret=SECRET)
SESSIONS = ["alice-1", "alice-shared", "bob-1", "not-there"]
AT = "2026-01-01T00:00:00.000Z"


def token(**claims: Any) -> str:
    good = {"sub": "alice", "exp": time.time() + 600, "sessions": ["alice-*"]}
    return signed({k: v for k, v in (good | claims).items() if v is not None}, KEY)


class Socket:
    """A handshake, and the frames that follow it."""

    remote_address = ("203.0.113.5", 4711)

    def __init__(self, target: str, headers: dict[str, str], *frames: str | bytes) -> None:
        self.request: Request | None = Request(target, Headers(headers))
        self._frames = list(frames)

    def forget_handshake(self) -> None:
        self.request = None

    async def recv(self) -> str | bytes:
        if not self._frames:
            raise TimeoutError
        return self._frames.pop(0)


class Unavailable(Tokens):
    async def rights(self, token: str) -> Rights:
        raise CantTell("away")


async def admitted(
    target: str,
    *frames: str | bytes,
    tokens: Tokens | None = None,
    settings: GatewaySettings = JWT,
    own: OwnPass | None = None,
    held: Limiter | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """The rights, or what the socket is closed with."""
    if tokens is None and settings.auth == "jwt":
        tokens = Tokens(Expected(), KEY, {})
    gate = Admission(settings, held or limiter(), tokens, own)
    socket = Socket(target, headers or {}, *frames)
    try:
        admitted = await gate.admit(cast(Any, socket))
    except Refusal as refusal:
        return refusal.code, refusal.reason
    assert socket.request is None, "the token stays in memory"
    return admitted.rights


VERB_SETS = [None, ["read"], ["read", "say"], ["read", "cancel"], ["say"], []]
FRAMES = {
    "say": '{"type":"user_message","content":"Hi","message_id":"m1"}',
    "cancel": '{"type":"cancel","message_id":"m1"}',
    "interrupt": '{"type":"user_message","content":"Hi","on_busy":"interrupt"}',
    "history": '{"type":"history"}',
}
NEEDS = {"say": {"say"}, "cancel": {"cancel"}, "interrupt": {"say", "cancel"}, "history": {"read"}}


@pytest.mark.parametrize(("verbs", "session_id"), list(product(VERB_SETS, SESSIONS)))
async def test_token_by_verb_by_session(verbs: list[str] | None, session_id: str) -> None:
    minted = token(verbs=verbs)
    found = await admitted(f"/ws/chat/{session_id}/?cursor=1.0.5&token={minted}")
    allowed = VERBS if verbs is None else frozenset(verbs)
    if "read" not in allowed or not session_id.startswith("alice-"):
        # The very same words whosever it is, and whether it is there.
        assert found == (CloseCode.FORBIDDEN, "this session is none of yours")
        return
    protocol = Protocol(session_id, 0.0, lambda: "made", rights=found, renews=True)
    for name, frame in FRAMES.items():
        (action,) = protocol.receive(frame, AT)
        refused = isinstance(action, Send) and isinstance(action.frame, Refused)
        assert refused is not (NEEDS[name] <= allowed), name
        if refused:
            told = cast(Any, action).frame
            assert (told.code, told.retryable) == ("forbidden", False)


async def test_a_token_comes_by_header_address_or_first_frame() -> None:
    good = token()
    frame = f'{{"type":"token","token":"{good}"}}'
    for found in (
        await admitted("/ws/chat/alice-1/", headers={"Authorization": f"Bearer {good}"}),
        await admitted(f"/ws/chat/alice-1/?token={good}"),
        await admitted("/ws/chat/alice-1/", frame),
        await admitted("/ws/chat/alice-1/", frame, headers={"Authorization": "Basic dTpw"}),
    ):
        assert found.subject == "alice"


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        '{"type":"ping"}',
        FRAMES["say"],
        b"binary",
        '{"type":"token"}',
        '{"type":"token","token":""}',
    ],
)
async def test_nothing_is_answered_before_the_token(frame: str | bytes) -> None:
    code, _ = await admitted("/ws/chat/alice-1/", frame)
    assert code is CloseCode.UNAUTHENTICATED


async def test_who_brings_no_token_in_time_is_sent_away() -> None:
    assert await admitted("/ws/chat/alice-1/") == (
        CloseCode.UNAUTHENTICATED,
        "no token came in time",
    )


@pytest.mark.parametrize(
    ("minted", "why"),
    [
        ("x", "no signed token"),
        (token(exp=time.time() - 60), "expired"),
        (token(exp=None), "exp is missing"),
        (signed({"exp": time.time() + 60}, secret_key(SECRET + "!", "HS256")), "signature"),
        ("é" * 50, "no signed token"),
    ],
)
async def test_a_bad_token_says_why(minted: str, why: str) -> None:
    code, reason = await admitted(f"/ws/chat/alice-1/?token={minted}")
    assert code is CloseCode.UNAUTHENTICATED
    assert why in reason
    assert minted not in reason


async def test_why_tokens_are_refused_is_logged_once_and_no_token() -> None:
    gate = Admission(JWT, limiter(), Tokens(Expected(), KEY, {}))
    old = token(exp=time.time() - 60)
    with structlog.testing.capture_logs() as logged:
        for minted in (old, old, "x", token(exp=None)):
            with pytest.raises(Refusal):
                await gate.admit(cast(Any, Socket(f"/ws/chat/alice-1/?token={minted}", {})))
    assert [line["reason"] for line in logged] == [
        "expired",
        "no signed token of three parts",
        "exp is missing",
    ]
    assert {line["client"] for line in logged} == {"203.0.113.5"}
    assert old not in str(logged)


async def test_a_token_without_sessions_may_do_nothing() -> None:
    code, _ = await admitted(f"/ws/chat/alice-1/?token={token(sessions=None)}")
    assert code is CloseCode.FORBIDDEN


async def test_while_keys_are_away_a_socket_is_to_come_again() -> None:
    with pytest.raises(CantTell):
        await admitted("/ws/chat/alice-1/?token=t", tokens=Unavailable(Expected(), KEY, {}))


async def test_a_full_session_is_told_only_to_those_who_may_read_it() -> None:
    held = limiter()
    for _ in range(JWT.connections_per_session):
        await held.enter(Who("bob-1"))
    code, reason = await admitted(f"/ws/chat/bob-1/?token={token()}", held=held)
    assert (code, reason) == (CloseCode.FORBIDDEN, "this session is none of yours")
    of_bob = token(sub="bob", sessions=["{sub}-*"])
    code, reason = await admitted(f"/ws/chat/bob-1/?token={of_bob}", held=held)
    assert code is CloseCode.TOO_MANY
    assert json.loads(reason)["limit"] == "connections_per_session"


async def test_the_gateways_own_password_opens_its_own_session_alone() -> None:
    own = OwnPass("talklog-canary-1", "p" * 43)
    bearer = {"Authorization": f"Bearer {own.password}"}
    found = await admitted("/ws/chat/talklog-canary-1/", own=own, headers=bearer)
    assert found.may("read", "talklog-canary-1")
    assert not found.may("read", "talklog-canary-2")
    code, _ = await admitted("/ws/chat/alice-1/", own=own, headers=bearer)
    assert code is CloseCode.UNAUTHENTICATED
    code, _ = await admitted("/ws/chat/talklog-canary-1/?token=x", own=own)
    assert code is CloseCode.UNAUTHENTICATED


class Backend(Hook):
    """A hook that knows alice by her cookie; what it was told is in `told`."""

    def __init__(self) -> None:
        super().__init__("http://backend/who", headers=["cookie", "user-agent"])
        self.told: list[Visitor] = []

    async def rights(self, visitor: Visitor) -> Rights:
        self.told.append(visitor)
        if visitor.headers.get("cookie") != "session=a":
            raise BadToken("not signed in")
        return Rights("alice", ("{sub}-*",), VERBS, 10.0)


async def test_a_hook_is_told_the_headers_that_are_set_and_from_where() -> None:
    hook = Backend()
    settings = GatewaySettings(
        epoch=1, auth="hook", hook_url="http://backend/who", trusted_proxies="203.0.113.0/24"
    )
    gate = Admission(settings, limiter(), None, None, hook)
    sent = {"Cookie": "session=a", "X-Secret": "s", "X-Forwarded-For": "6.6.6.6, 198.51.100.9"}
    found = await gate.admit(cast(Any, Socket("/ws/chat/alice-1/?token=t", sent)))
    assert found.rights.subject == "alice"
    assert found.who == Who("alice-1", "alice", "198.51.100.9")
    assert hook.told == [Visitor("alice-1", "198.51.100.9", {"cookie": "session=a"})]
    for target, code in (("/ws/chat/bob-1/", 4003), ("/ws/chat/alice-1/", 4001)):
        headers = sent if code == 4003 else {}
        with pytest.raises(Refusal) as refused:
            await gate.admit(cast(Any, Socket(target, headers)))
        assert refused.value.code == code


NONE = GatewaySettings(epoch=1)


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "X-Forwarded-For", "x-forwarded-for", "X-Forwarded-Proto", "X-Real-IP"],
)
async def test_without_authentication_what_a_proxy_passes_on_is_refused(header: str) -> None:
    code, reason = await admitted("/ws/chat/s/", settings=NONE, headers={header: "198.51.100.9"})
    assert code is CloseCode.FORBIDDEN
    assert "TALKLOG_AUTH" in reason
    good = f"/ws/chat/alice-1/?token={token()}"
    assert (await admitted(good, headers={header: "198.51.100.9"})).subject == "alice"


async def test_without_authentication_everybody_here_may_all() -> None:
    assert await admitted("/ws/chat/s/", settings=NONE) is EVERYTHING


def protocol() -> Protocol:
    rights = Rights("alice", ("alice-*",), VERBS, until_s=100.0)
    return Protocol("alice-1", 0.0, lambda: "made", rights=rights, renews=True)


def test_who_says_it_stands_in_the_event() -> None:
    (said,) = protocol().receive(FRAMES["say"], AT)
    assert cast(Any, said).message.user == "alice"
    (stop,) = protocol().receive(FRAMES["cancel"], AT)
    assert cast(Any, stop).of("alice-1", "m1").user == "alice"


def test_a_token_frame_takes_the_place_of_the_token_before() -> None:
    one = protocol()
    assert one.receive('{"type":"token","token":"t"}', AT) == [Renew("t")]
    assert one.is_over(100.0)
    assert one.renewed(Rights("alice", ("alice-*",), frozenset({"read"}), 200.0)) == []
    assert not one.is_over(199.0)
    (action,) = one.receive(FRAMES["say"], AT)
    assert isinstance(action, Send)
    assert cast(Any, action.frame).code == "forbidden"


@pytest.mark.parametrize(
    "rights",
    [
        Rights("alice", (), VERBS),
        Rights("alice", ("bob-*",), VERBS),
        Rights("alice", ("alice-*",), frozenset({"say", "cancel"})),
    ],
)
def test_who_may_no_longer_read_is_closed(rights: Rights) -> None:
    (close,) = protocol().renewed(rights)
    assert cast(Any, close).code is CloseCode.FORBIDDEN


def test_reasons_fit_into_a_close_frame() -> None:
    assert len(Refusal(CloseCode.FORBIDDEN, "é" * 300).reason.encode()) <= 123


async def test_a_subject_can_not_reach_out_of_its_pattern() -> None:
    for subject in ("*", "{sub}", "bob-1", "b*"):
        minted = token(sub=subject, sessions=["{sub}:*"])
        code, _ = await admitted(f"/ws/chat/bob-1/?token={minted}")
        assert code is CloseCode.FORBIDDEN


said = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)


@given(
    st.one_of(said, said.map("Bearer {}".format)),
    st.one_of(st.just(""), st.text(max_size=40).map(lambda text: f"?token={quote(text)}")),
    st.one_of(st.text(max_size=60), st.binary(max_size=20)),
)
@example("", "", '{"type":"token","token":"\\ud800"}')
@example("Bearer \xff", "?token=%ff%00", "")
def test_any_handshake_is_let_in_or_closed_with_a_code(
    authorization: str, query: str, frame: str | bytes
) -> None:
    own = OwnPass("talklog-canary-1", "p" * 43)
    asked = admitted(
        f"/ws/chat/alice-1/{query}", frame, own=own, headers={"Authorization": authorization}
    )
    code, reason = asyncio.run(asked)
    assert code is CloseCode.UNAUTHENTICATED
    assert reason
