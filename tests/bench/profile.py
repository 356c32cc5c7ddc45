"""`python -m tests.bench.profile TIER`: where a tier's time goes under load A, as a flame graph.

It starts a stack, warms it up, and lets py-spy look at the tier's first process a hundred times a
second while the load goes on. A load that ends before is begun again. `--format blocks` prints the
longest turns of the process' loop instead, measured from inside it (`tests.bench.blocks`).
"""

import argparse
import asyncio
import contextlib
import itertools
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from deploy.local.stack_file import StackFile
from tests.bench import blocks
from tests.bench.load import load
from tests.bench.measured import SETTINGS, bench_stack
from tests.bench.scenarios import SCENARIOS, Scenario

TIERS = ("gateway", "worker", "persister")
BLOCKS = "blocks"
ENDINGS = {"flamegraph": "svg", "raw": "txt", "speedscope": "json"}
LONGEST = 5
SAMPLES_A_S = 100
MARGIN_S = 5.0


def main() -> int:
    """Write the flame graph; give py-spy's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.profile", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("tier", choices=TIERS)
    parser.add_argument("--scenario", choices=SCENARIOS, default="A")
    parser.add_argument("--seconds", type=int, default=20, help="looked at so long")
    parser.add_argument("--warm-up-seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=int, default=SAMPLES_A_S, help="looks a second")
    parser.add_argument("--format", choices=(*ENDINGS, BLOCKS), default="flamegraph")
    parser.add_argument("--output", type=Path, help="default: .cache/profile-TIER.svg")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        turns = blocks.variables(Path(folder)) if asked.format == BLOCKS else {}
        with bench_stack(**SETTINGS, **turns) as stack:
            return asyncio.run(_profiled(stack.file, asked, Path(folder)))


async def _profiled(file: StackFile, asked: argparse.Namespace, folder: Path) -> int:
    scenario = SCENARIOS[asked.scenario]
    urls = [gateway.url for gateway in file.gateways]
    print("warming up")
    await load(urls, scenario, scenario.tokens_in(asked.warm_up_seconds), "profile-warm-up")
    print(f"looking at the {asked.tier} for {asked.seconds} s")
    tokens = scenario.tokens_in(asked.seconds + MARGIN_S)
    loading = asyncio.create_task(_load_on(urls, scenario, tokens))
    pid = _pid(file, asked.tier)
    code = await (_blocks(folder, pid, asked) if asked.format == BLOCKS else _spied(pid, asked))
    loading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loading
    return code


async def _blocks(folder: Path, pid: int, asked: argparse.Namespace) -> int:
    await asyncio.to_thread(blocks.anew, folder, pid)
    await asyncio.sleep(asked.seconds)
    for block in (await asyncio.to_thread(blocks.longest, folder, pid))[:LONGEST]:
        print(block)
    return 0


async def _spied(pid: int, asked: argparse.Namespace) -> int:
    output = asked.output or Path(".cache") / f"profile-{asked.tier}.{ENDINGS[asked.format]}"
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(Path(sysconfig.get_path("scripts")) / "py-spy"),
        "record",
        *("--pid", str(pid)),
        *("--duration", str(asked.seconds)),
        *("--rate", str(asked.rate)),
        *("--format", asked.format),
        *("--output", str(output)),
    ]
    looking = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    code = await looking.wait()
    if code == 0:
        print(f"written to {output}")
    return code


async def _load_on(urls: list[str], scenario: Scenario, tokens: int) -> None:
    """Load until cancelled: short answers have ended long before the look is over."""
    for number in itertools.count():
        await load(urls, scenario, tokens, f"profile-{number}")


def _pid(file: StackFile, tier: str) -> int:
    pids = {
        "gateway": [each.pid for each in file.gateways],
        "worker": [each.pid for each in file.workers],
        "persister": [each.pid for each in file.persisters],
    }
    return pids[tier][0]


if __name__ == "__main__":
    sys.exit(main())
