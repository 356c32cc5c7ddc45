"""The page's files as a browser asks for them: little the first time, next to nothing after it."""

import gzip
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import cramjam
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from gateway.page.page_files import INDEX, PageFiles

FIRST_MAX_BYTES = 100_000
AGAIN_MAX_BYTES = 2_000
BROWSER = Headers({"Accept-Encoding": "gzip, deflate, br, zstd"})
UNPACK: Mapping[str | None, Callable[[bytes], bytes]] = {
    "br": lambda body: bytes(cramjam.brotli.decompress(body)),
    "gzip": gzip.decompress,
    None: bytes,
}


@pytest.fixture(scope="module")
def page() -> PageFiles:
    return PageFiles()


def named_by(index: Response) -> list[str]:
    """What the page fetches by itself, in its folder."""
    return list(dict.fromkeys(re.findall(r'(?:href|src)="(v/[^"]+)"', index.body.decode())))


def sent(response: Response | None) -> int:
    assert response is not None
    return len(response.serialize())


def test_the_first_load_is_small_and_the_next_is_one_question(page: PageFiles) -> None:
    index = page.answer("/")
    assert index is not None
    names = named_by(index)
    assert any(name.endswith("/chat.js") for name in names)
    first = sent(page.answer("/", BROWSER)) + sum(
        sent(page.answer(f"/{n}", BROWSER)) for n in names
    )
    assert first < FIRST_MAX_BYTES
    for name in names:
        kept = page.answer(f"/{name}", BROWSER)
        assert kept is not None
        assert "immutable" in kept.headers["Cache-Control"]
    again = page.answer("/", Headers({**dict(BROWSER), "If-None-Match": index.headers["ETag"]}))
    assert again is not None
    assert (again.status_code, again.body) == (304, b"")
    assert sent(again) < AGAIN_MAX_BYTES


def test_every_module_that_runs_first_is_named_in_the_page(page: PageFiles) -> None:
    index = page.answer("/")
    assert index is not None
    named = {name.rpartition("/")[2] for name in named_by(index)}
    assert {"chat.js", "session.js", "fold.js", "turn.js"} <= named
    assert not {"markdown.js", "highlighting.js", "typesetting.js"} & named


def test_the_page_is_told_how_many_shards_there_are() -> None:
    index = PageFiles(shards=64).answer("/")
    assert index is not None
    assert b'<meta name="talklog-shards" content="64"></head>' in index.body
    assert index.headers["ETag"] != PageFiles(shards=8).answer("/").headers["ETag"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("takes", "given"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("BR;q=0.5, gzip", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.0, *", "gzip"),
        ("*", "br"),
        ("gzip;q=0, br; q=0", None),
        ("*;q=0", None),
        ("zstd", None),
        ("", None),
    ],
)
def test_packed_or_not_it_is_the_same(page: PageFiles, takes: str, given: str | None) -> None:
    plain, packed = (
        page.answer("/chat.js"),
        page.answer("/chat.js", Headers({"Accept-Encoding": takes})),
    )
    assert plain is not None
    assert packed is not None
    assert packed.headers.get("Content-Encoding") == given
    assert UNPACK[given](bytes(packed.body)) == plain.body
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] == packed.headers["ETag"]


def test_comments_stay_here_and_lines_where_they_are(tmp_path: Path) -> None:
    source = """/**
 * Why.
 */
import { b } from "./b.js"; // with code on its line: stays

const a = "// no comment"; /* nor here */
  // Only this.
/* one */
const c = "/*"; /* two
   lines */ const d = "*/";
"""
    (tmp_path / "a.js").write_text(source)
    (tmp_path / "a.css").write_text("/* one */\n.a { b: c; }\n")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "a.js").write_text(source)
    page = PageFiles(tmp_path)
    sent = {name: page.answer(name) for name in ("/a.js", "/a.css", "/vendor/a.js")}
    lines = ["" if n in (0, 1, 2, 6, 7) else line for n, line in enumerate(source.split("\n"))]
    assert sent["/a.js"].body.decode() == "\n".join(lines)  # type: ignore[union-attr]
    assert sent["/a.css"].body == b"\n.a { b: c; }\n"  # type: ignore[union-attr]
    assert sent["/vendor/a.js"].body.decode() == source  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "status"),
    [("{tag}", 304), ('"x", {tag}', 304), ("*", 304), ('W/"other"', 200), ("", 200)],
)
def test_what_a_browser_has_is_not_sent_again(page: PageFiles, given: str, status: int) -> None:
    whole = page.answer("/chat.css")
    assert whole is not None
    given = given.format(tag=whole.headers["ETag"])
    answered = page.answer("/chat.css", Headers({"If-None-Match": given}))
    assert answered is not None
    assert answered.status_code == status
    assert answered.headers["ETag"] == whole.headers["ETag"]


def test_files_by_their_own_name_and_of_another_build_are_asked_for_again(page: PageFiles) -> None:
    by_name, other = page.answer("/chat.js"), page.answer("/v/0123456789abcdef/chat.js")
    assert by_name is not None
    assert other is not None
    assert by_name.body == other.body
    assert by_name.headers["Cache-Control"] == other.headers["Cache-Control"] == "no-cache"
    assert page.answer("/v/0123456789abcdef/none.js") is None
    assert page.answer("/v/../chat.js") is None


def test_a_change_of_any_file_is_another_build(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('<head><script type="module" src="a.js"></script></head>')
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\n')
    (tmp_path / "b.js").write_text("export const b = 1;\n")
    before = PageFiles(tmp_path).answer("/")
    (tmp_path / "b.js").write_text("export const b = 2;\n")
    after = PageFiles(tmp_path).answer("/")
    assert before is not None
    assert after is not None
    assert [name.rpartition("/")[2] for name in named_by(before)] == ["a.js", "b.js"]
    assert not set(named_by(before)) & set(named_by(after))


def test_a_folder_without_a_page_says_so(tmp_path: Path) -> None:
    told = PageFiles(tmp_path / "none").answer("/")
    assert told is not None
    assert b"not built" in told.body


def test_the_policy_allows_nothing_inline_and_stands_on_every_document(page: PageFiles) -> None:
    for path in ("/", "/index.html", "/icon.svg"):
        document = page.answer(path)
        assert document is not None
        policy = document.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    font = page.answer("/vendor/katex/fonts/KaTeX_Main-Regular.woff2", BROWSER)
    assert font is not None
    assert font.headers["Content-Type"] == "font/woff2"
    assert "Content-Encoding" not in font.headers
