"""The HTTP of a model's client, over aiohttp, with a body that can be read without waiting.

The openai client takes any transport of httpx. Its own one over aiohttp gives a body as an async
iterator only: each read is a wait, a task that wakes and four generators above one another. This
one hands the body on as well (`body_of`), so that whoever reads many answers can take of each what
has gathered. Bytes come decompressed. Errors are aiohttp's own.
"""

from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

_BODY = "talklog.body"
_ENCODING = b"content-encoding"
ACCEPTED_ENCODINGS = "gzip, deflate"
"""What aiohttp unpacks with nothing else installed."""


class Body(httpx2.AsyncByteStream):
    """The bytes of one answer as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._error: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.wait():
            yield data

    async def wait(self, max_bytes: int = -1) -> bytes | None:
        """Give what `read_now` gives, and wait if that is nothing. None: the body has ended."""
        data = self.read_now(max_bytes)
        if data == b"":
            content = self._response.content
            # The library's `read(-1)` is another thing: it waits for the body's end.
            data = await (content.readany() if max_bytes < 0 else content.read(max_bytes)) or None
        return data

    def read_now(self, max_bytes: int = -1) -> bytes | None:
        """Give what has come, without waiting: perhaps nothing. None: the body has ended.

        Of more than `max_bytes` the rest is given the next time; -1 is all of it.

        Raises what has cut it off, after what came before that.
        """
        content = self._response.content
        if (error := content.exception()) is not None:
            # Beside an error the library gives nothing, not even what came before it.
            self._error = error
            content.set_exception(None)  # type: ignore[arg-type]
        if data := content.read_nowait(max_bytes):
            return data
        if self._error is not None:
            raise self._error
        return None if content.at_eof() else b""

    async def aclose(self) -> None:
        """Give the connection back if the body has ended, else close it."""
        self._response.release()
        await self._response.wait_for_close()


def body_of(response: httpx2.Response) -> Body:
    """Give the body of a response that came through a `Transport`."""
    body: Body = response.extensions[_BODY]
    return body


class Transport(httpx2.AsyncBaseTransport):
    """Sends requests to one address, through the proxy that the environment names for it."""

    def __init__(self, base_url: str, limits: httpx2.Limits) -> None:
        self._proxy, self._proxy_auth = _proxy_for(httpx2.URL(base_url))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.max_connections or 0,
                keepalive_timeout=limits.keepalive_expiry,
                ssl=httpx2.create_ssl_context(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send; returns when the headers are there. Raises httpx2.TimeoutException, ClientError."""
        try:
            response = await self._send(request)
        except aiohttp.ServerTimeoutError as error:
            # It is a TimeoutError too: who waits with a limit would take it for that.
            raise httpx2.ConnectTimeout(str(error)) from error
        body = Body(response)
        return httpx2.Response(
            response.status,
            # It is decoded already.
            headers=[each for each in response.raw_headers if each[0].lower() != _ENCODING],
            stream=body,
            request=request,
            extensions={_BODY: body},
        )

    async def _send(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        timeout = request.extensions.get("timeout", {})
        return await self._session.request(
            request.method,
            str(request.url),
            headers=request.headers,
            data=await request.aread() or None,
            allow_redirects=False,
            proxy=self._proxy,
            proxy_auth=self._proxy_auth,
            timeout=aiohttp.ClientTimeout(
                connect=timeout.get("pool"),
                sock_connect=timeout.get("connect"),
                sock_read=timeout.get("read"),
            ),
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


def _proxy_for(address: httpx2.URL) -> tuple[str | None, aiohttp.BasicAuth | None]:
    # Not by aiohttp's trust_env: it would take a password from ~/.netrc too, beside our key.
    proxies = getproxies()
    told = proxies.get(address.scheme) or proxies.get("all")
    if not told or proxy_bypass(address.host):
        return None, None
    proxy = httpx2.Proxy(told if "://" in told else f"http://{told}")
    return str(proxy.url), aiohttp.BasicAuth(*proxy.auth) if proxy.auth else None
