"""One connection's side of the protocol: a frame comes in or time passes, actions come out. Pure.

It knows nothing of sockets, Kafka or clocks: the shell (`gateway.socket.connection`) performs the
actions in order, one after another, so that the messages of one connection are published in the
order in which they were sent.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.identity.rights import EVERYTHING, Rights
from gateway.limits.rules import Over
from gateway.socket.client_frame import Ask, BadFrame, Earlier, Ping, RenewToken, Stop, parse
from schemas.close_codes import CloseCode
from schemas.events import Cancel, UserMessage
from schemas.frames import Frame, GatewayErrorCode, Pong, Refused
from schemas.limits import BAD_FRAMES_MAX, HEARTBEAT_S

RETRYABLE: frozenset[GatewayErrorCode] = frozenset(
    {"rate_limited", "busy", "outcome_unknown", "unavailable"}
)
"""Errors after which the same frame may succeed later."""


@dataclass(frozen=True, slots=True)
class Send:
    """Say this to the client."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Submit:
    """Publish the message, then say what became of it."""

    message: UserMessage


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """Publish the cancel; without a message_id, that of the answer that runs."""

    message_id: str | None
    created_at: str
    user: str | None = None

    def of(self, session_id: str, message_id: str) -> Cancel:
        """Give the event that stops `message_id`."""
        return Cancel(
            session_id=session_id,
            message_id=message_id,
            created_at=self.created_at,
            user=self.user,
        )


@dataclass(frozen=True, slots=True)
class GiveEarlier:
    """Give a page of finished messages that stand before that one."""

    before: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class Renew:
    """See what this token allows; it takes the place of the one before."""

    token: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Say that the connection lives, with its cursor."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: CloseCode
    reason: str


Action = Send | Submit | StopAnswer | GiveEarlier | Renew | Beat | Close


class Protocol:
    """The state of one connection: bad frames in a row, when something was last said or happened.

    `new_id` makes a message_id for a client that sends none. `now_s` is of any clock that only goes
    forward; `created_at` is the wall's, as text. `idle_limit_s`: 0 is for ever. `rights`: what the
    client may do in the session; `renews`: they come from a token, and another may follow.
    """

    __slots__ = (
        "_active",
        "_active_at_s",
        "_bad_frames",
        "_heartbeat_s",
        "_idle_limit_s",
        "_models",
        "_new_id",
        "_renews",
        "_rights",
        "_session_id",
        "_spoke_at_s",
    )

    def __init__(
        self,
        session_id: str,
        now_s: float,
        new_id: Callable[[], str],
        models: Collection[str] = (),
        idle_limit_s: float = 0.0,
        heartbeat_s: float = HEARTBEAT_S,
        rights: Rights = EVERYTHING,
        renews: bool = False,
    ) -> None:
        self._session_id = session_id
        self._new_id = new_id
        self._models = models
        self._rights = rights
        self._renews = renews
        self._bad_frames = 0
        self._spoke_at_s = now_s
        self._idle_limit_s = idle_limit_s
        self._heartbeat_s = heartbeat_s
        self._active = False  # something happened since `_active_at_s`; the next tick dates it
        self._active_at_s = now_s

    def receive(self, frame: str | bytes, created_at: str) -> list[Action]:
        """Take a frame of the client."""
        if isinstance(frame, bytes):
            return [Close(CloseCode.PROTOCOL_ERROR, "binary frame")]
        try:
            actions = self._answer(frame, created_at)
        except BadFrame as bad:
            self._bad_frames += 1
            actions = [Send(refused(self._session_id, bad.code, str(bad), bad.message_id))]
            if self._bad_frames >= BAD_FRAMES_MAX:
                reason = f"{BAD_FRAMES_MAX} bad frames in a row"
                actions.append(Close(CloseCode.PROTOCOL_ERROR, reason))
            return actions
        self._bad_frames = 0
        return actions

    def is_over(self, wall_s: float) -> bool:
        """Whether the client may do nothing any more: its time is over."""
        return self._rights.over(wall_s)

    def renewed(self, rights: Rights) -> list[Action]:
        """Take what a new token allows, more or less than before."""
        self._rights = rights
        if rights.may("read", self._session_id):
            return []
        return [Close(CloseCode.FORBIDDEN, "this session is none of yours")]

    def spoke(self, now_s: float) -> None:
        """Note that something was sent: no heartbeat is needed for a while."""
        self._spoke_at_s = now_s

    def delivered(self) -> None:
        """Note that the client was given something of its session."""
        self._active = True

    def tick(self, now_s: float) -> list[Action]:
        """Let time pass."""
        if self._active:
            self._active, self._active_at_s = False, now_s
        elif 0 < self._idle_limit_s <= now_s - self._active_at_s:
            return [Close(CloseCode.IDLE, f"nothing was said for {self._idle_limit_s:g} s")]
        if now_s - self._spoke_at_s < self._heartbeat_s:
            return []
        self._spoke_at_s = now_s
        return [Beat()]

    def _answer(self, frame: str, created_at: str) -> list[Action]:
        request = parse(frame, self._models)
        # A ping only asks whether the connection lives, so it does not count as activity.
        self._active = self._active or not isinstance(request, Ping)
        if isinstance(request, Ask):
            return [self._asked(request, created_at)]
        if isinstance(request, Stop):
            if not self._rights.may("cancel", self._session_id):
                return [self._forbidden("stopping answers", request.message_id)]
            return [StopAnswer(request.message_id, created_at, self._rights.subject)]
        if isinstance(request, Earlier):
            if not self._rights.may("read", self._session_id):
                return [self._forbidden("reading")]
            return [GiveEarlier(request.before, request.limit)]
        if isinstance(request, Ping):
            return [Send(Pong(session_id=self._session_id, nonce=request.nonce))]
        if isinstance(request, RenewToken) and self._renews:
            return [Renew(request.token)]
        return [Send(refused(self._session_id, "unsupported", "there is no authentication here"))]

    def _asked(self, ask: Ask, created_at: str) -> Action:
        rights, session_id = self._rights, self._session_id
        if not rights.may("say", session_id):
            return self._forbidden("saying anything", ask.message_id)
        if ask.on_busy == "interrupt" and not rights.may("cancel", session_id):
            return self._forbidden("interrupting, which stops answers,", ask.message_id)
        message = UserMessage(
            session_id=session_id,
            message_id=ask.message_id or self._new_id(),
            created_at=created_at,
            content=ask.content,
            on_busy=ask.on_busy,
            model=ask.model,
            user=rights.subject,
        )
        return Submit(message)

    def _forbidden(self, what: str, message_id: str | None = None) -> Send:
        text = f"{what} is not among the verbs of the token"
        return Send(refused(self._session_id, "forbidden", text, message_id))


def refused(
    session_id: str,
    code: GatewayErrorCode,
    message: str,
    message_id: str | None = None,
    over: Over | None = None,
) -> Refused:
    """Give the error frame for a code; `over` is the limit that was met, if it is one."""
    return Refused(
        session_id=session_id,
        code=code,
        message=message,
        retryable=code in RETRYABLE,
        message_id=message_id,
        retry_after_ms=over.retry_after_ms if over else None,
        limit=over.limit if over else None,
    )
