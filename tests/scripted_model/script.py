"""What one call shall do, read from the directives in its prompt.

A prompt such as `tell me [[key=m17 tokens=200 rate=50 fault=hang_after:10]]` carries its own
orders, so that a test needs no channel to the model but the chat itself. The last user message is
read; what it leaves out comes from the control endpoint's orders, then from the server's default.
A mistake in the orders is an error of the test and is told as such, never guessed at.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

_ORDERS = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

FAULTS = frozenset(
    {
        # before the headers
        "status",  # :CODE, with retry_after=SECONDS or a date, its blanks written as _
        "context",  # 400, the prompt is too long for the model
        "quota",  # 429, but waiting does not help
        "drop",  # the connection is closed without an answer
        "hang_headers",
        "slow_headers",  # :MILLISECONDS
        "hold_headers",  # until POST /control/release, then goes on
        "wrong_type",  # 200 and an HTML page
        "empty_body",  # 200, the right type, and nothing
        # in the stream, after N tokens
        "hang_after",
        "murmur_after",  # comments for ever, and nothing else
        "hold_after",  # until POST /control/release, then goes on
        "cut_after",  # the connection breaks
        "end_after",  # the stream ends in order, without a finish reason and [DONE]
        "garbage_after",
        "error_after",  # an error object in the stream
        "too_long_after",  # one event bigger than anybody should hold
        # at the end
        "no_finish",
        "no_done",
        "late_end",  # the body ends a moment after [DONE]
        "hang_end",  # everything was written, the connection stays open
    }
)
DRESS = frozenset(
    {
        "crlf",
        "cr",
        "comments",
        "bom",
        "bytewise",  # every byte is a write of its own
        "multiline",  # the JSON over several data lines
        "reasoning",
        "thinks",  # a thought before every THINKS_EVERY tokens, the first one among them
        "tools",
        "nul",
        "surrogate",
        "emoji",
        "bad_utf8",
    }
)


PREFILL = frozenset(
    {
        "go",  # it goes on after the last token of the text so far, under the same call's name
        "refuse",  # 400: the last message must be a user's
        "strict",  # 422 for what it does not know beside the messages
        "prefix",  # 400 unless the message says that it is a prefix
        "repeat",  # it writes the text so far again, and goes on
        "other",  # :TOKENS of the text so far again, then under its own call's name
    }
)


class BadScript(ValueError):
    """The directives can't be followed; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Script:
    """What one call shall do. `rate` is in tokens a second, 0 as fast as it goes."""

    key: str = ""
    tokens: int = 20
    rate: float = 0.0
    first_ms: float = 0.0
    fault: str = ""
    fault_at: int = 0
    fails: int = 0  # the fault meets only the first so many calls of this key; 0: all
    retry_after: str = ""
    finish: str = "stop"
    usage: bool = True
    stamp: bool = False  # each token also carries CLOCK_MONOTONIC in ns, as it is written
    huge: int = 0  # so many bytes of filling in the second token
    dress: frozenset[str] = frozenset()
    prefill: str = "go"
    prefill_at: int = 0

    def for_call(self, number: int) -> "Script":
        """The same without its fault, if the fault is not meant for call `number` (from 1)."""
        if self.fails and number > self.fails:
            return replace(self, fault="", fault_at=0)
        return self


_FIELDS = frozenset(field.name for field in fields(Script))


def read_script(prompt: str, *, default: Script) -> Script:
    """The script of a prompt; without a `key=` the text names itself. Raises BadScript."""
    script = default
    for orders in _ORDERS.findall(prompt):
        script = with_orders(script, orders)
    return script if script.key else replace(script, key=key_of(_ORDERS.sub("", prompt)))


def key_of(text: str) -> str:
    """The name of a prompt without a `key=`: itself when it is one short word, else its hash."""
    text = text.strip()
    if _PLAIN_KEY.fullmatch(text):
        return text
    return "p" + hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()


def with_orders(script: Script, orders: str) -> Script:
    """`script` changed by orders such as `tokens=200 rate=50`. Raises BadScript."""
    for order in orders.split():
        name, _, value = order.partition("=")
        if name not in _FIELDS or name.endswith("_at") or not value:
            raise BadScript(f"unknown order {order!r}")
        try:
            script = _with_order(script, name, value)
        except ValueError as error:
            raise BadScript(f"bad order {order!r}: {error}") from error
    return script


def _with_order(script: Script, name: str, value: str) -> Script:
    changed: dict[str, Any]
    if name == "fault":
        kind, _, at = value.partition(":")
        if kind not in FAULTS:
            raise BadScript(f"unknown fault {kind!r}")
        changed = {"fault": kind, "fault_at": int(at or 0)}
    elif name == "prefill":
        kind, _, at = value.partition(":")
        if kind not in PREFILL:
            raise BadScript(f"unknown prefill {kind!r}")
        changed = {"prefill": kind, "prefill_at": int(at or 0)}
    elif name == "dress":
        dress = frozenset(value.split("+"))
        if not dress <= DRESS:
            raise BadScript(f"unknown dress {sorted(dress - DRESS)}")
        changed = {"dress": dress}
    elif name in ("usage", "stamp"):
        changed = {name: value not in ("0", "no")}
    else:
        changed = {name: _READERS.get(name, int)(value)}
    return replace(script, **changed)


_READERS: dict[str, Callable[[str], object]] = {
    "key": str,
    "finish": str,
    "retry_after": lambda value: value.replace("_", " "),
    "rate": float,
    "first_ms": float,
}


def token_text(key: str, call: int, index: int) -> str:
    """The token `index` (from 0) of the `call`th call (from 1) for the message `key`."""
    return f" {key}/c{call}/{index:04d}"


THINKS_EVERY = 4


def thought(index: int) -> str:
    """What a model that `thinks` thinks aloud before token `index`; often nothing."""
    return "" if index % THINKS_EVERY else f"hm {index}? "


def thoughts(tokens: int) -> str:
    """All that it thinks aloud in an answer of so many tokens."""
    return "".join(map(thought, range(tokens)))


def answer_text(key: str, call: int, tokens: int) -> str:
    """What a whole undisturbed answer says (without stamp, huge, and odd dress)."""
    return "".join(token_text(key, call, index) for index in range(tokens))


_TOKEN = re.compile(r" [^ /]+/c(\d+)/(\d{4})")


def is_whole(text: str, key: str, tokens: int) -> bool:
    """Say whether it is exactly what one call says; others may have gone on with it."""
    first = _TOKEN.match(text)
    return first is not None and text == answer_text(key, int(first[1]), tokens)


@dataclass(frozen=True, slots=True)
class GoingOn:
    """Where a call takes up a text: the `rest` of a token that was cut, and what comes then."""

    call: int
    index: int
    rest: str


def going_on(key: str, so_far: str) -> GoingOn:
    """Say how a text goes on that another call has begun. Raises BadScript if none has."""
    said = list(_TOKEN.finditer(so_far))
    if not said:
        raise BadScript(f"the text so far is not of this model: {so_far[:100]!r}")
    call, index, tail = int(said[-1][1]), int(said[-1][2]) + 1, so_far[said[-1].end() :]
    following = token_text(key, call, index)
    if tail and following.startswith(tail):
        return GoingOn(call, index + 1, following[len(tail) :])
    return GoingOn(call, index, "")
