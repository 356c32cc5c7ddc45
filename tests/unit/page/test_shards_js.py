"""Python and JavaScript find a session on the same shard."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import shard_of
from tests.unit.page.node import node

ROOT = Path(__file__).parents[3]
IDS = st.text(alphabet="abcXYZ019._:-", min_size=1, max_size=255)


@settings(max_examples=5)
@given(st.lists(IDS, min_size=40, max_size=80), st.integers(1, 2000))
def test_both_choose_the_same_shard(sessions: list[str], shards: int) -> None:
    script = ROOT / "tests" / "javascript" / "shards.js"
    ran = node(script, json.dumps(sessions), str(shards))
    assert json.loads(ran.stdout) == [shard_of(session, shards) for session in sessions]
