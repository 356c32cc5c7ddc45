"""The chat page's files, read once at the start: all that lies here, but for Python, is served.

Each is there twice. By its own name it is asked for again every time, and not sent again if it is
the same (ETag). Under `v/BUILD/`, where BUILD is a hash over all of them, it never changes, so that
a browser keeps it and does not ask. The page itself names its files there; what these import is
named from where they lie, and so there, too. A build of another gateway, as in the middle of a
rollout, is answered by the files of this one, and kept by nobody.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import cramjam
from websockets.datastructures import Headers
from websockets.http11 import Response

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
NO_GUESS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
"""Of every file: it is what it says, and no page of another site shows it or runs it."""
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
"""A browser that came by TLS comes no other way for a year."""
INDEX = "index.html"
ASK_AGAIN = "no-cache"
KEEP = "public, max-age=31536000, immutable"
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_DOCUMENTS = ("text/html", "image/svg+xml", "text/plain")
"""What a browser may show by itself: there a policy has something to say."""
_PACKED_ALREADY = {".woff2", ".png"}
_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda content: bytes(cramjam.brotli.compress(content, level=11)),
    "gzip": lambda content: gzip.compress(content, 9, mtime=0),
}
"""How a file may be packed, the smallest first."""
_TINY_BYTES = 100  # shorter ones become longer
_PACKED_MAX = 512  # more than there are files, in both encodings
_NAMED = re.compile(r'((?:href|src)=")([\w./-]+)(?=")')
_IMPORT = re.compile(r'^(?:import|export) [^;]*?from "(\./[\w./-]+)";', re.MULTILINE)
_COMMENT = re.compile(rb"^[ \t]*(?:/\*(?:(?!\*/)[\s\S])*\*/|//[^\n]*)[ \t]*$", re.MULTILINE)
"""One that has its lines to itself."""
_VERSIONED = re.compile(r"/v/([0-9a-f]{16})(/.+)")
_NOT_BUILT = "The chat page is not built: this gateway serves WebSockets only.\n"


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and whether packing it makes a difference."""

    kind: str
    plain: bytes
    packs: bool
    tag: str


class PageFiles:
    """Answers for `/` and the page's files."""

    def __init__(self, folder: Traversable | None = None, shards: int | None = None) -> None:
        """Read them. `shards`: so many the page is told, so that it can name that of a session."""
        self._build, read = _installed() if folder is None else _built(folder)
        self._files = dict(read)
        index = self._files.get("/" + INDEX)
        if index is not None and shards is not None:
            told = f'<meta name="talklog-shards" content="{shards}"></head>'
            page = index.plain.replace(b"</head>", told.encode(), 1)
            self._files["/" + INDEX] = _file("/" + INDEX, page)

    def answer(self, path: str, headers: Headers | None = None) -> Response | None:
        """Give the file at `path`, or None if there is none.

        `headers` are those of the request: which version its sender has, and how it may be packed.
        Who first asks for a file waits until it is packed: half a second for the longest. From a
        thread, then: packing lets others run.
        """
        if path == "/" and "/" + INDEX not in self._files:
            return text(200, _NOT_BUILT)
        build, name = _parts(path)
        file = self._files.get(name)
        if file is None:
            return None
        return _sent(file, KEEP if build == self._build else ASK_AGAIN, headers or Headers())

    def has(self, path: str) -> bool:
        """Say whether there is an answer for `path`."""
        return path == "/" or _parts(path)[1] in self._files


def _parts(path: str) -> tuple[str | None, str]:
    """Give the build that is asked for, if any is, and the file's own path."""
    versioned = _VERSIONED.fullmatch(path)
    if versioned is not None:
        return versioned[1], versioned[2]
    return None, "/" + INDEX if path == "/" else path


def text(status: int, body: str, more: Mapping[str, str] | None = None) -> Response:
    """Give a plain text response."""
    return response(status, body.encode(), "text/plain; charset=utf-8", more)


def response(
    status: int, body: bytes, kind: str, more: Mapping[str, str] | None = None
) -> Response:
    """Give a whole response; the library closes the connection after it."""
    document = kind.startswith(_DOCUMENTS)
    own = {**NO_GUESS, **(SECURITY_HEADERS if document else {})}
    length = {} if status == _NOT_MODIFIED else {"Content-Length": str(len(body))}
    kept = {"Content-Type": kind, **length, "Cache-Control": ASK_AGAIN, "Connection": "close"}
    return Response(status, _PHRASES[status], Headers({**own, **kept, **(more or {})}), body)


def content_type(path: str) -> str:
    """Give the media type of a file by its name."""
    kind = _TYPES.get(_suffix(path)) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


_NOT_MODIFIED = 304
_PHRASES = {
    200: "OK",
    304: "Not Modified",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def _sent(file: _File, cache: str, asked: Headers) -> Response:
    more = {"Cache-Control": cache, "ETag": file.tag}
    if file.packs:
        more["Vary"] = "Accept-Encoding"
    if _names(asked.get_all("If-None-Match"), file.tag):
        return response(_NOT_MODIFIED, b"", file.kind, more)
    encoding = _taken(asked.get_all("Accept-Encoding")) if file.packs else None
    if encoding is None:
        return response(200, file.plain, file.kind, more)
    more["Content-Encoding"] = encoding
    return response(200, _packed(encoding, file.plain), file.kind, more)


def _names(given: Sequence[str], tag: str) -> bool:
    """Say whether one of the tags that a browser has is this one."""
    tags = {each.strip() for each in ",".join(given).split(",")}
    return tag in tags or "*" in tags


def _taken(given: Sequence[str]) -> str | None:
    """Give the best encoding that a browser takes."""
    takes: dict[str, bool] = {}
    for each in ",".join(given).lower().split(","):
        name, _, parameters = each.partition(";")
        takes[name.strip()] = re.fullmatch(r"\s*q\s*=\s*0(?:\.0*)?\s*", parameters) is None
    others = takes.get("*", False)
    return next((encoding for encoding in _ENCODINGS if takes.get(encoding, others)), None)


@lru_cache(maxsize=_PACKED_MAX)
def _packed(encoding: str, content: bytes) -> bytes:
    """Pack a file, once in a process: all of them cost a second, and most are never asked for."""
    return _ENCODINGS[encoding](content)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, Mapping[str, _File]]:
    return _built(files("gateway.page"))


def _built(folder: Traversable) -> tuple[str, Mapping[str, _File]]:
    """Give the build and its files by path."""
    read = dict(_read(folder, "/")) if folder.is_dir() else {}
    whole = hashlib.sha256()
    for path, content in sorted(read.items()):
        whole.update(f"{path} {len(content)}\n".encode() + content)
    build = whole.hexdigest()[:16]
    index = read.get("/" + INDEX)
    if index is not None:
        read["/" + INDEX] = _named_by_build(index.decode(), build, read).encode()
    return build, {path: _file(path, content) for path, content in read.items()}


def _named_by_build(page: str, build: str, read: Mapping[str, bytes]) -> str:
    """Let the page name its files by build, and also those that they will ask for, all at once."""
    page = _NAMED.sub(lambda name: name[1] + _versioned(name[2], build, read), page)
    begin = re.search(r'type="module" src="v/\w+/([\w.-]+)"', page)
    wanted = _imported("/" + begin[1], read) if begin else []
    hints = "".join(f'<link rel="modulepreload" href="v/{build}{path}">' for path in wanted)
    return page.replace("</head>", f"{hints}</head>", 1)


def _versioned(name: str, build: str, read: Mapping[str, bytes]) -> str:
    return f"v/{build}/{name}" if "/" + name in read else name


def _imported(path: str, read: Mapping[str, bytes]) -> list[str]:
    """Give what a module needs before it runs, in the order in which that is named."""
    found: dict[str, None] = {}
    waiting = [path]
    while waiting:
        for name in _IMPORT.findall(read.get(waiting.pop(0), b"").decode()):
            imported = "/" + name.removeprefix("./")
            if imported in read and imported not in found:
                found[imported] = None
                waiting.append(imported)
    return list(found)


def _file(path: str, content: bytes) -> _File:
    packs = _suffix(path) not in _PACKED_ALREADY and len(content) > _TINY_BYTES
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'  # weak: the same for each encoding
    return _File(content_type(path), content, packs, tag)


def _suffix(path: str) -> str:
    return path[path.rfind(".") :] if "." in path else ""


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name.endswith(".py") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, _sent_of(prefix + entry.name, entry.read_bytes())


def _sent_of(path: str, content: bytes) -> bytes:
    """Leave out what only a reader of the sources needs; each line stays where it is."""
    if _suffix(path) not in (".js", ".css") or path.startswith("/vendor/"):
        return content
    return _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), content)
