"""The token that a handshake brings along, if it brings one. Pure.

`Authorization: Bearer` comes before `?token=`: a browser can't set the header, and an address may
have been copied together with somebody's token.
"""

import re
from collections.abc import Sequence
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
