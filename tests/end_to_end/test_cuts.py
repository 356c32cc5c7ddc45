"""Sockets cut after every k-th frame of the log, thousands of times: no gap, no repeat.

`CUTS` and `SEED` of the environment change how often, and which gateway is met next:
`CUTS=10000 .venv/bin/pytest -n 0 tests/end_to_end/test_cuts.py`.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.end_to_end.cutter import Cutter
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack, running_stack

USUAL_CUTS = 2_500
CUTS = int(os.environ.get("CUTS", USUAL_CUTS))
LIMIT_S = 540 * max(1, CUTS / USUAL_CUTS)
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1_000_000))))
EVERY = range(1, 51)
SESSIONS_EACH = 2
TOKENS, RATE = 120, 20

pytestmark = [pytest.mark.stack, pytest.mark.timeout(LIMIT_S + 60)]


@pytest.fixture(scope="module")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Three gateways, so that nobody is likely to meet the same again."""
    with running_stack(
        tmp_path_factory.mktemp("cuts"), OPENAI_BASE_URL=model.url, GATEWAYS="3"
    ) as stack:
        yield stack


async def test_every_client_reads_what_the_model_wrote_however_it_is_cut(
    stack: RunningStack, model: ModelControl, tell: Callable[[str], None]
) -> None:
    urls = [gateway.url for gateway in stack.file.gateways]
    assert len(urls) == 3
    cutters = [
        Cutter(urls, f"cut-{every}-{each}", every, TOKENS, RATE, SEED)
        for every in EVERY
        for each in range(SESSIONS_EACH)
    ]

    def cuts() -> int:
        return sum(cutter.counts["cuts"] for cutter in cutters)

    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        for cutter in cutters:
            group.create_task(cutter.run(lambda: cuts() >= CUTS))
    counts = sum((cutter.counts for cutter in cutters), Counter[str]())
    told = f"SEED={SEED} {dict(counts)}"
    tell(told)
    wrong = [what for cutter in cutters for what in cutter.wrong]
    assert not wrong, f"{told}\n" + "\n".join(wrong[:10])
    assert (counts["gaps"], counts["repeats"]) == (0, 0), told
    assert counts["reasoning"] > counts["answers"], told
    all_cuts = counts["cuts"] + counts["between connected and snapshot"]
    assert counts["cuts"] >= CUTS, told
    assert counts["handshakes without an answer"] <= all_cuts / 50, told
    assert counts["inside a running answer"] >= 0.9 * all_cuts, told
    assert counts["between connected and snapshot"] >= CUTS / 100, told
    assert all(cutter.counts["cuts"] for cutter in cutters), "every k was cut"
    asked = model.state()["by_key"]
    assert all(asked[f"{c.session_id}-1"] == 1 for c in cutters), "asked once"
