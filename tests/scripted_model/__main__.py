"""`python -m tests.scripted_model --port 0`: prints its address as one JSON line, then serves."""

import argparse
import asyncio
import json
import signal

import uvloop

from tests.scripted_model.server import ScriptedModel


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with ScriptedModel(
        default=arguments.default, host=arguments.host, port=arguments.port
    ) as model:
        print(json.dumps({"url": model.url}), flush=True)
        await stop.wait()


def main() -> None:
    """Serves until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible model server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--default", default="", help="orders of prompts without their own")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
