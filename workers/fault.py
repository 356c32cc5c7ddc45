"""What can go wrong with a model, and what follows: as values, decided in one place.

Each kind of fault says which code ends the answer, whether the user may try again, and whether
the worker itself asks again at once. It does so only before the first byte of an answer: after
it a second call could say something else, and the reader would see two texts mixed.

Pure: chance and time are arguments.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from schemas.events import ErrorCode

RETRY_FIRST_MAX_S = 0.5
RETRY_MAX_S = 8.0


class FaultKind(StrEnum):
    """Every way in which a model fails."""

    UNREACHABLE = "unreachable"  # no address, refused, or lost before anything came
    CONNECT_TIMEOUT = "connect"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NO_STREAM = "no_stream"  # an answer of another kind: a proxy's page, a wrong address
    BAD_STREAM = "bad_stream"  # an error told in the stream, or unreadable before any text
    FIRST_TOKEN_TIMEOUT = "first_token"  # noqa: S105  (a limit, no secret)
    IDLE_TIMEOUT = "idle"
    WHOLE_TIMEOUT = "whole"
    REJECTED = "rejected"
    CONTEXT_TOO_LONG = "context_too_long"


class Consequence(NamedTuple):
    """How an answer ends by a fault: the terminal's code, and who may try again."""

    code: ErrorCode
    retryable: bool  # by the user, as the terminal says
    ask_again: bool  # by the worker, before the first byte


CONSEQUENCES: dict[FaultKind, Consequence] = {
    FaultKind.UNREACHABLE: Consequence("model_unavailable", True, True),
    FaultKind.CONNECT_TIMEOUT: Consequence("model_timeout", True, True),
    FaultKind.RATE_LIMITED: Consequence("model_unavailable", True, True),
    FaultKind.SERVER_ERROR: Consequence("model_unavailable", True, True),
    # Asked again at once, these two would say the same again.
    FaultKind.NO_STREAM: Consequence("model_unavailable", True, False),
    FaultKind.BAD_STREAM: Consequence("model_unavailable", True, False),
    # The long limits are not tried again by the worker: the reader has waited enough.
    FaultKind.FIRST_TOKEN_TIMEOUT: Consequence("model_timeout", True, False),
    FaultKind.IDLE_TIMEOUT: Consequence("model_timeout", True, False),
    FaultKind.WHOLE_TIMEOUT: Consequence("model_timeout", True, False),
    FaultKind.REJECTED: Consequence("model_rejected", False, False),
    FaultKind.CONTEXT_TOO_LONG: Consequence("context_too_long", False, False),
}


class ModelFault(Exception):
    """A model did not give a whole answer. The subclass says what to do; `code` ends the answer."""

    def __init__(
        self, kind: FaultKind, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s  # what the model asked for, if it did

    @property
    def code(self) -> ErrorCode:
        """The code of the terminal that follows."""
        return CONSEQUENCES[self.kind].code

    @property
    def retryable(self) -> bool:
        """Whether the same message may succeed later."""
        return CONSEQUENCES[self.kind].retryable


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


def fault(kind: FaultKind, message: str, *, retry_after_s: float | None = None) -> ModelFault:
    """The error of a kind, of the class that says what follows."""
    return _CLASSES[CONSEQUENCES[kind].code](kind, message, retry_after_s=retry_after_s)


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


_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_TOO_LONG_WORDS = ("maximum context length", "context size", "context window", "context length")
_PASSING = frozenset({408, 409, 425, 429})


def fault_of_status(
    status: int, *, codes: frozenset[str], message: str, retry_after_s: float | None = None
) -> ModelFault:
    """The fault that an HTTP error stands for. `codes`: its `code` and `type`: servers differ."""
    told = f"the model answered {status}: {message[:500]}"
    if 400 <= status < 500 and status not in _PASSING:
        too_long = codes & _TOO_LONG_CODES or any(w in message.lower() for w in _TOO_LONG_WORDS)
        if status in (400, 413, 422) and too_long:
            return fault(FaultKind.CONTEXT_TOO_LONG, told)
        return fault(FaultKind.REJECTED, told)
    if status == 429 and "insufficient_quota" in codes:
        return fault(FaultKind.REJECTED, told)
    kind = FaultKind.RATE_LIMITED if status == 429 else FaultKind.SERVER_ERROR
    return fault(kind, told, retry_after_s=retry_after_s)
