"""What can go wrong with a model, and what follows: as values, decided in one place.

Each kind of fault says which code ends the answer, whether the user may try again, whether the
worker itself asks again, there or at another address, and what it says of the address. All of
that only before the first byte of an answer: after it a second call could say something else, and
the reader would see two texts mixed.

Pure: chance and time are arguments.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from schemas.events import ErrorCode
from workers.model.breaker import Heard
from workers.model.harmless import harmless_detail

RETRY_FIRST_MAX_S = 0.5
RETRY_MAX_S = 8.0


class FaultKind(StrEnum):
    """Every way in which a model fails."""

    UNREACHABLE = "unreachable"  # no address, refused, or lost before anything came
    CONNECT_TIMEOUT = "connect"
    NOT_ASKED = "not_asked"  # the breaker of the address is open
    RATE_LIMITED = "rate_limited"
    PASSING = "passing"  # 408, 409, 425: of this request, and it may pass the next time
    SERVER_ERROR = "server_error"
    NO_STREAM = "no_stream"  # an answer of another kind: a proxy's page, a wrong address
    BAD_STREAM = "bad_stream"  # an error told in the stream, or unreadable before any text
    FIRST_TOKEN_TIMEOUT = "first_token"  # noqa: S105  (a limit, no secret)
    IDLE_TIMEOUT = "idle"
    WHOLE_TIMEOUT = "whole"
    QUOTA = "quota"  # nothing is left to spend at this address
    REJECTED = "rejected"
    CONTEXT_TOO_LONG = "context_too_long"


class Consequence(NamedTuple):
    """What follows a fault. `ask_again` and `elsewhere` are meant before the first byte."""

    code: ErrorCode  # of the terminal
    retryable: bool  # by the user, as the terminal says
    ask_again: bool  # by the worker, at the same address
    elsewhere: bool  # another address may answer this
    heard: Heard  # of the address, for its breaker


WORDS: dict[ErrorCode, str] = {
    "model_unavailable": "The model can't answer now. Please send your message again in a moment.",
    "model_timeout": "The model took too long to answer. Please send your message again.",
    "model_rejected": (
        "The model refuses this request, and will refuse it again. "
        "Please begin a new chat, or ask whoever runs this service."
    ),
    "context_too_long": (
        "This conversation is longer than the model can read. "
        "Please begin a new chat, or send a shorter message."
    ),
    "internal": "Something went wrong on our side. Please send your message again.",
}
"""By the code of the terminal. A server's own words may hold keys and inner addresses, so they are
never told: the log has them."""

_FAILED, _ANSWERED, _NOTHING = Heard.FAILED, Heard.ANSWERED, Heard.NOTHING

CONSEQUENCES: dict[FaultKind, Consequence] = {
    FaultKind.UNREACHABLE: Consequence("model_unavailable", True, True, True, _FAILED),
    FaultKind.CONNECT_TIMEOUT: Consequence("model_timeout", True, True, True, _FAILED),
    FaultKind.NOT_ASKED: Consequence("model_unavailable", True, False, True, _NOTHING),
    FaultKind.RATE_LIMITED: Consequence("model_unavailable", True, True, True, _ANSWERED),
    FaultKind.PASSING: Consequence("model_unavailable", True, True, True, _ANSWERED),
    FaultKind.SERVER_ERROR: Consequence("model_unavailable", True, True, True, _FAILED),
    # Asked again at once, these two would say the same again.
    FaultKind.NO_STREAM: Consequence("model_unavailable", True, False, True, _FAILED),
    FaultKind.BAD_STREAM: Consequence("model_unavailable", True, False, False, _NOTHING),
    # The long limits are not tried again where they passed: the reader has waited enough.
    FaultKind.FIRST_TOKEN_TIMEOUT: Consequence("model_timeout", True, False, True, _FAILED),
    FaultKind.IDLE_TIMEOUT: Consequence("model_timeout", True, False, False, _NOTHING),
    # It also passes in the last moment of a second try, which says nothing of the address.
    FaultKind.WHOLE_TIMEOUT: Consequence("model_timeout", True, False, False, _NOTHING),
    FaultKind.QUOTA: Consequence("model_rejected", False, False, True, _ANSWERED),
    FaultKind.REJECTED: Consequence("model_rejected", False, False, False, _ANSWERED),
    FaultKind.CONTEXT_TOO_LONG: Consequence("context_too_long", False, False, False, _ANSWERED),
}


class ModelFault(Exception):
    """A model did not give a whole answer. The subclass says what to do; `code` ends the answer.

    `message` is what happened in detail, for the log: it may hold the server's own words. People
    are told `words`, which are fixed for each code.
    """

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(harmless_detail(message))
        self.kind = kind
        self.status = status  # of the HTTP answer that told it
        self.message = harmless_detail(message)
        self.retry_after_s = retry_after_s  # what the model asked for, if it did

    @property
    def code(self) -> ErrorCode:
        """The code of the terminal that follows."""
        return CONSEQUENCES[self.kind].code

    @property
    def words(self) -> str:
        """What people are told, and what they can do."""
        return WORDS[self.code]

    @property
    def retryable(self) -> bool:
        """Whether the same message may succeed later."""
        return CONSEQUENCES[self.kind].retryable

    @property
    def elsewhere(self) -> bool:
        """Whether another address may answer what this one did not."""
        return CONSEQUENCES[self.kind].elsewhere

    @property
    def heard(self) -> Heard:
        """What it says of the address."""
        return CONSEQUENCES[self.kind].heard


class ModelUnavailable(ModelFault):
    """The model can't answer now: end with an error, the user may send again."""


class ModelTimeout(ModelFault):
    """One of the limits has passed; `which` is connect, first_token, idle or whole."""

    @property
    def which(self) -> str:
        """The limit that has passed."""
        return self.kind.value


class ModelRejected(ModelFault):
    """The model refuses this request, and will refuse it again."""


class ContextTooLong(ModelRejected):
    """The prompt is longer than the model takes: a shorter one may pass."""


_CLASSES: dict[ErrorCode, type[ModelFault]] = {
    "model_unavailable": ModelUnavailable,
    "model_timeout": ModelTimeout,
    "model_rejected": ModelRejected,
    "context_too_long": ContextTooLong,
}


def fault(
    kind: FaultKind,
    message: str,
    *,
    retry_after_s: float | None = None,
    status: int | None = None,
) -> ModelFault:
    """The error of a kind, of the class that says what follows."""
    made = _CLASSES[CONSEQUENCES[kind].code]
    return made(kind, message, retry_after_s=retry_after_s, status=status)


# What else ends an answer with an error, and whether sending it again can help.
RETRYABLE_BY_CODE: dict[ErrorCode, bool] = {
    **{follows.code: follows.retryable for follows in CONSEQUENCES.values()},
    "busy": True,
    "internal": True,
    "lost": True,
    "retries_exhausted": False,
    "unsupported": False,
}


def ask_again_after_s(
    failed: ModelFault,
    *,
    tries: int,
    retries: int,
    left_s: float,
    retry_after_max_s: float,
    chance: float,
) -> float | None:
    """How long to wait before the model is asked once more, or None: the fault ends the answer.

    For faults before the first byte. `tries` were made, `retries` more than the first are
    allowed, `left_s` are left of the whole answer's time; `chance` is in [0, 1): full jitter, so
    that a thousand answers that failed together don't come back together. A Retry-After is
    honoured, with the jitter on top of it; one longer than we would wait is for the user.
    """
    if not CONSEQUENCES[failed.kind].ask_again or tries > retries:
        return None
    asked_s = failed.retry_after_s or 0.0
    if asked_s > retry_after_max_s:
        return None
    wait_s = asked_s + chance * min(RETRY_MAX_S, RETRY_FIRST_MAX_S * 2.0 ** (tries - 1))
    return wait_s if wait_s < left_s else None


def not_asked(left_s: float) -> ModelFault:
    """The fault of an address whose breaker is open for `left_s` more (0.0: it is being probed)."""
    when = f"in {left_s:.0f} s" if left_s >= 1.0 else "soon"
    told = f"the model keeps failing and is not asked now; it is asked again {when}"
    return fault(FaultKind.NOT_ASKED, told, retry_after_s=left_s)


def told_of(first: ModelFault, then: ModelFault) -> ModelFault:
    """By which fault an answer ends that failed at one address and then at another.

    The later one, unless only the earlier one may pass: a second address that refuses a request
    (another limit, a wrong key) does not make it hopeless at the first.
    """
    return first if first.retryable and not then.retryable else then


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """What a Retry-After header asks for, in seconds from now; None if it can't be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return max(0.0, (at - now).total_seconds())
