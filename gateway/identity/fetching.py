"""What another server answers: read as far as is needed, and shown without what is secret."""

from urllib.parse import urlsplit

import aiohttp

_READ_BYTES = 16 * 1024


def is_url(place: str) -> bool:
    """Whether it is fetched, rather than read from a file."""
    return place.startswith(("http://", "https://"))


def shown(place: str) -> str:
    """Give a place without what is secret in it: a password, a query."""
    if not is_url(place):
        return place
    url = urlsplit(place)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def why(error: Exception) -> str:
    """Give an error of reading as text; that of an address that is none would show it whole."""
    text = "" if isinstance(error, aiohttp.InvalidURL) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def body_of(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Give the body, unpacked. Of one that is longer than `max_bytes` it is more than that."""
    body = b""
    while len(body) <= max_bytes and (part := await response.content.read(_READ_BYTES)):
        body += part
    return body
