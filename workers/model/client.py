"""The openai client of one address, without what it does anew for each call.

All calls of an address go to one place with the same headers, and only their bodies differ. The
client makes the whole of it again for each, in layers that copy and check one another's work, and
httpx sends it through cookies, flows of authentication and hooks that no model needs: together
more than half of what a call costs. So the first request is the pattern of those after it, and
what is sent goes straight to the transport. What is refused, and how, the client says as ever.
"""

from typing import Any

import httpx2
import openai
from openai._models import FinalRequestOptions


class Client(openai.AsyncOpenAI):
    """Posts `content` to the paths of one address; nothing else of a request may differ."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._patterns: dict[str, httpx2.Request] = {}

    def _build_request(
        self, options: FinalRequestOptions, *, retries_taken: int = 0
    ) -> httpx2.Request:
        pattern = self._patterns.get(options.url)
        if pattern is None:
            pattern = super()._build_request(options, retries_taken=retries_taken)
            self._patterns[options.url] = pattern
            return pattern
        headers = pattern.headers.copy()
        del headers["content-length"]
        return httpx2.Request(
            pattern.method,
            pattern.url,
            headers=headers,
            content=options.content,
            extensions=pattern.extensions,
        )


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
