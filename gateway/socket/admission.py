"""Lets a socket in: through what, from which page, to which session, as whom, and is there room?

In this order, and what belongs to a session is asked last: whoever may not read it is told the same
words, as fast, whether it is there or not.
"""

import asyncio
import hmac
import json
from dataclasses import dataclass

import structlog
from websockets.datastructures import Headers

from gateway.identity.claims import BadToken
from gateway.identity.client_address import FORWARDED, client_address, trusted
from gateway.identity.hook import Hook, Visitor
from gateway.identity.presented import token_of, told_headers
from gateway.identity.rights import EVERYTHING, VERBS, Rights
from gateway.identity.tokens import Tokens
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Who, counted_address
from gateway.settings import GatewaySettings
from gateway.socket.address import Address, BadAddress, only, origin_allowed, parse
from gateway.socket.client_frame import BadFrame, RenewToken
from gateway.socket.client_frame import parse as parse_frame
from gateway.socket.websocket import WebSocket
from schemas.close_codes import CloseCode

log = structlog.get_logger(__name__)

TOKEN_LIMIT_S = 5.0
"""So long a socket may take to bring one; a page that has none shows nothing before."""
REASON_MAX_BYTES = 120
"""A close frame holds no more than 123 (RFC 6455, 5.5)."""
REFUSED_MAX, REFUSED_MAX_CHARS = 100, 200
"""So many origins, and reasons, are logged, each once."""


class Refusal(Exception):
    """This socket is not served; it is closed with the code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        reason = reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore")
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OwnPass:
    """What this process lets itself in with, into a session of its own."""

    session_id: str
    password: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """A socket that is let in. Whoever has it says `leave` of `who` when it has closed."""

    address: Address
    rights: Rights
    who: Who


class Admission:
    """Of one gateway. Without `tokens` and `hook` everybody may do all."""

    def __init__(
        self,
        settings: GatewaySettings,
        limiter: Limiter,
        tokens: Tokens | None,
        own: OwnPass | None = None,
        hook: Hook | None = None,
    ) -> None:
        self._origins = settings.allowed_origins()
        self._proxies = settings.proxies()
        self._limiter = limiter
        self._tokens = tokens
        self._own = own
        self._hook = hook
        self._asks = tokens is not None or hook is not None
        self._told: dict[str, set[str]] = {}

    async def admit(self, socket: WebSocket) -> Admitted:
        """Give the session that the socket asks for and what it may do there; it is counted now.

        Waits for a first frame if the handshake brought no token.

        Raises:
            Refusal: it is to be closed with a code.
            CantTell: it should come again.
            ConnectionClosed: the client has gone.
        """
        assert socket.request is not None  # noqa: S101 - the handshake is over
        headers, target = socket.request.headers, socket.request.path
        peer = (socket.remote_address or ("",))[0]
        address = self.place(headers, target, peer)
        token = token_of(target, headers.get_all("Authorization"))
        names = self._hook.headers if self._hook else ()
        client = self.client_of(headers, peer)
        visitor = Visitor(address.session_id, client, told_headers(names, headers.get_all))
        # Nobody asks for it any more, and it holds the token.
        socket.forget_handshake()
        rights = await self._rights(socket, visitor, token)
        if not rights.may("read", address.session_id):
            raise Refusal(CloseCode.FORBIDDEN, "this session is none of yours")
        who = Who(address.session_id, rights.subject, counted_address(client))
        if (over := await self._limiter.enter(who)) is not None:
            raise Refusal(CloseCode.TOO_MANY, json.dumps(over.reason()))
        return Admitted(address, rights, who)

    def client_of(self, headers: Headers, peer: str) -> str:
        """Give from where a request comes."""
        return client_address(peer, headers.get_all("X-Forwarded-For"), self._proxies)

    def is_own(self, headers: Headers) -> bool:
        """Whether this process has come to itself: it waits behind nobody."""
        token = token_of("", headers.get_all("Authorization"))
        own = self._own.password if self._own else ""
        return bool(token) and hmac.compare_digest((token or "").encode(), own.encode())

    def came_by_tls(self, headers: Headers, peer: str) -> bool:
        """Whether a proxy that is believed says so."""
        told = only(headers.get_all("X-Forwarded-Proto"))
        return told == "https" and trusted(peer, self._proxies)

    def passed_on(self, headers: Headers) -> bool:
        """Whether a proxy has brought it to a gateway that only this machine is to reach."""
        if self._asks or not any(name in headers for name in FORWARDED):
            return False
        if self._is_news("proxy"):
            log.warning("refused what a proxy passes on: TALKLOG_AUTH=none is for this machine")
        return True

    def place(self, headers: Headers, target: str, peer: str = "") -> Address:
        """Read where the socket wants to go, if its page may. Raises Refusal."""
        if self.passed_on(headers):
            raise Refusal(
                CloseCode.FORBIDDEN, "came through a proxy, and TALKLOG_AUTH=none: see security.md"
            )
        # `get_all`, as headers may come more than once: `get` raises then.
        origin, host = only(headers.get_all("Origin")), only(headers.get_all("Host"))
        # A foreign name that was made to resolve here brings neither token nor cookie.
        if not origin_allowed(origin, host, self._origins, anywhere=self._asks):
            self._tell_refused(origin or "two origins", headers, peer)
            raise Refusal(CloseCode.FORBIDDEN, "this origin may not connect: see TALKLOG_ORIGINS")
        try:
            return parse(target)
        except BadAddress as error:
            raise Refusal(CloseCode.BAD_SESSION, str(error)) from None

    async def _rights(self, socket: WebSocket, visitor: Visitor, token: str | None) -> Rights:
        if not self._asks:
            return EVERYTHING
        own = self._own
        if own is not None and token is not None:
            same = hmac.compare_digest(token.encode(), own.password.encode())
            if same and visitor.session_id == own.session_id:
                return Rights(None, (own.session_id,), VERBS)
        try:
            if self._hook is not None:
                return await self._hook.rights(visitor)
            assert self._tokens is not None  # noqa: S101 - it asks
            if token is None:
                token = await _first_frame(socket)
            return await self._tokens.rights(token)
        except BadToken as error:
            if self._is_news("token", str(error)):
                log.warning("refused: told once", reason=str(error), client=visitor.address)
            raise Refusal(CloseCode.UNAUTHENTICATED, str(error)) from None

    def _tell_refused(self, origin: str, headers: Headers, peer: str) -> None:
        """Log an origin the first time: its page shows nothing, and here is who can allow it."""
        origin = origin[:REFUSED_MAX_CHARS]
        if self._is_news("origin", origin):
            client = self.client_of(headers, peer)
            log.warning("origin refused: allow it by TALKLOG_ORIGINS", origin=origin, client=client)

    def _is_news(self, kind: str, told: str = "") -> bool:
        """Whether this is to be logged: the first time, and while there is room to remember it."""
        known = self._told.setdefault(kind, set())
        news = told not in known and len(known) < REFUSED_MAX
        if news:
            known.add(told)
        return news


async def _first_frame(socket: WebSocket) -> str:
    try:
        async with asyncio.timeout(TOKEN_LIMIT_S):
            frame = await socket.recv()
    except TimeoutError:
        raise Refusal(CloseCode.UNAUTHENTICATED, "no token came in time") from None
    try:
        request = parse_frame(frame) if isinstance(frame, str) else None
    except BadFrame:
        request = None
    if not isinstance(request, RenewToken):
        raise Refusal(CloseCode.UNAUTHENTICATED, "a token is needed, as the first frame at last")
    return request.token
