"""The list of origins that may connect, as people type it -> as browsers send them. Pure."""

import re

from schemas.process.settings import listed

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s/:?#@\[\]]+)(?::(\d{1,5}))?/?", re.ASCII)
_DEFAULT_PORT = {"http": 80, "https": 443}
FILE = "null"
"""What a browser sends for a page that was opened as a file."""


class BadOrigin(ValueError):
    """No browser sends this as an origin; the text says what to change."""


def normalised(text: str) -> list[str]:
    """Give the origins of a list with commas. Raises BadOrigin."""
    return [_normalised(part.lower()) for part in listed(text)]


def _normalised(origin: str) -> str:
    if origin == FILE:
        return origin
    if "*" in origin:
        raise BadOrigin(f"{origin!r}: a wildcard is no origin; name each")
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise BadOrigin(f"{origin!r} is no origin: http:// or https://, host and port, no more")
    scheme, host, port = found.groups()
    if port is None or int(port) == _DEFAULT_PORT[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}"
