"""The clients of docs/clients.md, as they stand there: newcomers paste them."""

import asyncio
import re
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
TOKENS = 5


def code(language: str, word: str) -> str:
    """The one block of the page in this language that has the word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    [found] = [each for each in blocks if word in each]
    return str(found)


async def says(words: str, *command: str) -> str:
    """Run a program until it has said these words; give all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(WITHIN_S):
            while words not in said:
                some = await process.stdout.read(65536)
                said += some.decode()
                assert some, f"it ended without {words!r}: {said[-2000:]}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return said


def host(stack: RunningStack) -> str:
    return stack.file.gateways[0].url.removeprefix("http://")


def asked(session: str) -> str:
    return f"go [[key={session} tokens={TOKENS}]]"


async def test_python(stack: RunningStack, model: ModelControl) -> None:
    session = "clients-python"
    program = code("python", "websockets.connect")
    said = await says(
        "(stop)", sys.executable, "-c", program, f"ws://{host(stack)}", session, asked(session)
    )
    assert said.startswith(answer_text(session, 1, TOKENS))


@pytest.mark.parametrize("word", ["new WebSocket(", "new Session("])
async def test_javascript(
    stack: RunningStack, model: ModelControl, tmp_path: Path, word: str
) -> None:
    session = f"clients-{len(word)}"
    program = code("js", word)
    for there, here in (
        ("localhost:8000", host(stack)),
        ("test_session", session),
        ("my-session", session),
        ("./session.js", (ROOT / "gateway" / "page" / "session.js").as_uri()),
        ("'Hello'", repr(asked(session))),
    ):
        program = program.replace(there, here)
    file = tmp_path / "client.mjs"
    file.write_text(program)
    node, _ = compute_driver_executable()
    whole = answer_text(session, 1, TOKENS)
    said = await says("complete" if "Session(" in word else "finish_reason", node, str(file))
    assert whole in said or all(each in said for each in whole.split())


@pytest.mark.parametrize("address", re.findall(r"^curl (\S+)$", PAGE, re.MULTILINE))
async def test_plain_http(stack: RunningStack, address: str) -> None:
    address = address.replace("localhost:8000", host(stack))
    with await asyncio.to_thread(urllib.request.urlopen, address, timeout=WITHIN_S) as answer:
        said = answer.read().decode()
    assert said in ("ready\n", '{"session_id":"my-session","shard":2,"shards":8}')
