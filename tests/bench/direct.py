"""The ruler: what people build without talklog. FastAPI streams the model straight through.

It stores nothing, knows no session and can resume nothing: a socket that closes has lost its
answer. It is written as such servers are: the openai client's parsed stream, a frame a token.

    python -m tests.bench.direct http://127.0.0.1:1234/v1     prints its port, serves until SIGTERM
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI, WebSocket
from openai import AsyncOpenAI

from deploy.local.program import wrapped


@dataclass(frozen=True, slots=True)
class DirectServer:
    """Where it listens, in a process of its own."""

    url: str
    pid: int


@contextmanager
def direct_server(model_url: str) -> Iterator[DirectServer]:
    """Run it until the block ends."""
    command = [sys.executable, "-m", "tests.bench.direct", model_url]
    wanted = wrapped(command, uid=None, death_signal=signal.SIGKILL)
    process = subprocess.Popen(wanted, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield DirectServer(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def application(model_url: str) -> FastAPI:
    """Give the whole server: it speaks as much of the protocol as the load client needs."""
    app = FastAPI()
    # Past its capacity it is late; five seconds for a connection would end answers there.
    client = AsyncOpenAI(base_url=model_url, api_key="none", max_retries=0, timeout=600.0)

    @app.websocket("/ws/chat/{session_id}/")
    async def chat(socket: WebSocket, session_id: str) -> None:
        await socket.accept()
        async for asked in socket.iter_json():
            stream = await client.chat.completions.create(
                model="scripted",
                messages=[{"role": "user", "content": asked["content"]}],
                stream=True,
            )
            async for chunk in stream:
                if chunk.choices and (content := chunk.choices[0].delta.content):
                    await socket.send_json({"type": "ai_response_chunk", "content": content})
            await socket.send_json({"type": "ai_response_complete"})

    return app


def main() -> None:
    """Listen on a free port and say which."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        application(sys.argv[1]), log_level="warning", access_log=False, ws_ping_interval=None
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
