"""The real pip-audit, against a service that speaks as OSV does."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from deploy.local.ports import free_run
from tests.audit.__main__ import EXIT_KNOWN, EXIT_NOT_FOUND_OUT, main
from tests.http_backend import serving

PATH = "/v1/query"
HASH = "sha256:" + "0" * 64
KNOWN = {
    "id": "GHSA-1",
    "aliases": ["CVE-2026-1"],
    "summary": "it can be made to say too much",
    "affected": [
        {
            "package": {"name": "leaky", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


async def osv(request: web.Request) -> web.Response:
    asked = json.loads(await request.text())
    leaky = asked["package"]["name"] == "leaky" and asked["version"] == "1.0"
    return web.json_response({"vulns": [KNOWN]} if leaky else {})


async def away(request: web.Request) -> web.Response:
    raise web.HTTPServiceUnavailable


async def audit(url: str, file: Path, *more: str) -> int:
    given = ["--service", "osv", "--osv-url", f"{url}{PATH}", str(file), *more]
    return await asyncio.to_thread(main, given)


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    file = tmp_path / "pinned.txt"
    file.write_text(f"tight==1.0 \\\n    --hash={HASH}\nleaky==1.1 \\\n    --hash={HASH}\n")
    return file


@pytest.fixture
def leaking(pinned: Path) -> Path:
    file = pinned.with_name("leaking.txt")
    file.write_text("tight==1.0\nleaky==1.0\n")
    return file


async def test_what_is_known_is_found_and_can_be_accepted(
    pinned: Path, leaking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving("POST", PATH, osv) as url:
        assert await audit(url, pinned) == 0
        assert await audit(url, leaking) == EXIT_KNOWN
        assert "leaky 1.0: CVE-2026-1 GHSA-1, mended in 1.1" in capsys.readouterr().out
        assert await audit(url, leaking, "--accept", "CVE-2026-1") == 0


async def test_a_service_that_fails_or_is_away_is_no_good_news(
    pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving("POST", PATH, away) as url:
        assert await audit(url, pinned) == EXIT_NOT_FOUND_OUT
    assert await audit(f"http://127.0.0.1:{free_run(1)}", pinned) == EXIT_NOT_FOUND_OUT
    said = capsys.readouterr().out
    assert said.count("pinned.txt: not found out, the service can't be asked") == 2
