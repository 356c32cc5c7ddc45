"""The openai client of one address, without what it does anew for each call.

All calls of an address go to one place with the same headers, and only their bodies differ. The
client makes the whole of it again for each, in layers that copy and check one another's work, and
httpx sends it through cookies, flows of authentication and hooks that no model needs: together
more than half of what a call costs. So the first call goes the client's own way, and its request is
the pattern of those after it. What a refusal means, the client says as ever.
"""

from typing import Any, cast

import httpx2
import openai
from openai._models import FinalRequestOptions


class Client(openai.AsyncOpenAI):
    """Posts to the paths of one address."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._patterns: dict[str, httpx2.Request] = {}

    async def ask(self, path: str, content: bytes) -> httpx2.Response:
        """Give the response when its headers are there; its body is not read.

        Raises openai.APIStatusError, and else what the transport raises.
        """
        pattern = self._patterns.get(path)
        if pattern is None:
            first = self.post(
                path,
                cast_to=httpx2.Response,
                content=content,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # The client types what a stream is read with; asked for the response, it gives that.
            return cast(httpx2.Response, await first)
        request = httpx2.Request(
            pattern.method,
            pattern.url,
            headers=pattern.headers,
            content=content,
            extensions=pattern.extensions,
        )
        response = await self._client.send(request, stream=True)
        if response.is_success:
            return response
        await response.aread()
        raise self._make_status_error_from_response(response)

    def _build_request(
        self, options: FinalRequestOptions, *, retries_taken: int = 0
    ) -> httpx2.Request:
        request = super()._build_request(options, retries_taken=retries_taken)
        pattern = httpx2.Request(
            request.method, request.url, headers=request.headers, extensions=request.extensions
        )
        # It is the body's.
        del pattern.headers["content-length"]
        self._patterns[options.url] = pattern
        return request


class Http(httpx2.AsyncClient):
    """Sends a request as it is, and only what is redirected in the library's way."""

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **named: Any
    ) -> httpx2.Response:
        """Send; the body of a `stream` is not read. Raises what the transport does."""
        if not stream:
            return await super().send(request, **named)
        response = await self._transport.handle_async_request(request)
        if not response.has_redirect_location:
            return response
        # It is asked there once more, and then where it leads to.
        await response.aclose()
        return await super().send(request, stream=stream, **named)
