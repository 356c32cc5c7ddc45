"""Why the text of a setting can't work, as far as its name tells what it is for. Pure.

What can't work is refused at the start, by its name: found later it is an error of a library, at
the first answer, that names nothing.
"""

import re
from collections.abc import Callable

from schemas.redis_address import BadAddress, redis_address

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:?#@\[\]]+):(\d{1,5})")
_ADDRESS = re.compile(
    r"https?://(?:[^\s/?#@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#:\[\]@]+)(?::(\d{1,5}))?(/.*)?"
)


def why_not(name: str, text: str) -> str | None:
    """Say why a setting of this name (a field's) can't be this text, or None."""
    if name != "system_prompt" and _CONTROL.search(text):
        return "holds a control character, a newline perhaps"
    for ending, check in _CHECKS.items():
        if text and name.endswith(ending):
            return check(text)
    return None


def _key(text: str) -> str | None:
    if not text.isascii() or " " in text:
        return "no key: holds a blank or what is not ASCII"
    return None


def _address(text: str) -> str | None:
    if " " in text:
        return "no address: holds a blank"
    if "?" in text or "#" in text:
        return "a query or fragment would end up in the middle of every address that is asked"
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[1] or 80) < 65536:
        return "no address: http:// or https://, a host, and a port if need be"
    return None


def _redis(text: str) -> str | None:
    try:
        redis_address(text)
    except BadAddress as error:
        return str(error)
    return None


def _brokers(text: str) -> str | None:
    for each in text.split(","):
        broker = _BROKER.fullmatch(each.strip())
        if broker is None or not 0 < int(broker[2]) < 65536:
            return f"{each.strip()!r} is not host:port, without a scheme"
    return None


def _models(text: str) -> str | None:
    for each in (part.strip() for part in text.split(",")):
        if not each or " " in each:
            return "names of models are separated by commas, none is empty or holds a blank"
    return None


def _model(text: str) -> str | None:
    return "begins or ends with a blank" if text != text.strip() else None


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "api_key": _key,
    "base_url": _address,
    "redis_url": _redis,
    "kafka": _brokers,
    "models": _models,
    "_model": _model,
}
