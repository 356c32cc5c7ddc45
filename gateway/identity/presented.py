"""What a handshake brings along of who comes: a token, or headers for a hook. Pure.

`Authorization: Bearer` comes before `?token=`: a browser can't set the header, and an address may
have been copied together with somebody's token.
"""

import re
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

_BEARER = re.compile(r"bearer +(\S+)", re.ASCII | re.IGNORECASE)


def token_of(target: str, authorization: Sequence[str]) -> str | None:
    """Give the token; None: none came, and it may be the first frame.

    `target` is of an address that `gateway.socket.address.parse` has taken: its query is bounded.
    """
    # Another scheme is a proxy's own affair, as HTTP Basic in front of all is.
    bearers = [found[1] for value in authorization if (found := _BEARER.fullmatch(value.strip()))]
    if bearers:
        return bearers[0] if len(bearers) == 1 else ""
    return next(
        (value for name, value in parse_qsl(target.partition("?")[2]) if name == "token"), None
    )


def told_headers(names: Sequence[str], get_all: Callable[[str], Sequence[str]]) -> dict[str, str]:
    """Give those of the headers that are there, each as one text (RFC 9110, 5.3; 6265, 5.4)."""
    found = ((name, get_all(name)) for name in names)
    return {
        name: _as_sent(("; " if name == "cookie" else ", ").join(values))
        for name, values in found
        if values
    }


def _as_sent(value: str) -> str:
    """Read what the library gives letter by byte as UTF-8, if it is that."""
    try:
        return value.encode("latin-1").decode()
    except ValueError:
        return value
