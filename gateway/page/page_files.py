"""The chat page's files, read once at the start: all that lies here, but for Python, is served."""

import mimetypes
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from websockets.datastructures import Headers
from websockets.http11 import Response

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
INDEX = "index.html"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
_NOT_BUILT = "The chat page is not built: this gateway serves WebSockets only.\n"


class PageFiles:
    """Answers for `/` and the page's files."""

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder if folder is not None else files("gateway.page")
        self._files = dict(_read(folder, "/")) if folder.is_dir() else {}

    def answer(self, path: str) -> Response | None:
        """Give the file at `path`, or None if there is none."""
        if path == "/":
            index = self._files.get("/" + INDEX)
            return self.answer("/" + INDEX) if index is not None else text(200, _NOT_BUILT)
        content = self._files.get(path)
        return None if content is None else response(200, content, content_type(path))


def text(status: int, body: str) -> Response:
    """Give a plain text response."""
    return response(status, body.encode(), "text/plain; charset=utf-8")


def response(status: int, body: bytes, kind: str) -> Response:
    """Give a whole response; the library closes the connection after it."""
    headers = Headers(
        {
            **SECURITY_HEADERS,
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Connection": "close",
        }
    )
    return Response(status, _PHRASES[status], headers, body)


def content_type(path: str) -> str:
    """Give the media type of a file by its name."""
    suffix = path[path.rfind(".") :] if "." in path else ""
    kind = _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


_PHRASES = {200: "OK", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name.endswith(".py") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()
