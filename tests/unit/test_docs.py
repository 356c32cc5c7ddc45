"""The pages that people read name what the code knows."""

from pathlib import Path
from typing import get_args

import pytest

from deploy.operators.lag.verdict import LONGEST_WAIT_S
from schemas import events
from schemas.close_codes import CloseCode
from schemas.frames import GatewayErrorCode

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "word",
    [
        *get_args(events.State),
        *get_args(events.FinishReason),
        *get_args(events.ErrorCode),
        *get_args(events.OnBusy),
        *get_args(GatewayErrorCode),
    ],
)
def test_the_protocol_page_names_every_word_of_the_wire(word: str) -> None:
    assert f"`{word}`" in (DOCS / "protocol.md").read_text()


@pytest.mark.parametrize("code", CloseCode)
def test_the_protocol_page_has_every_close_code(code: CloseCode) -> None:
    rows = [line for line in (DOCS / "protocol.md").read_text().splitlines() if "|" in line]
    assert any(str(code.value) in row.split("|")[1] for row in rows)


def test_the_operations_page_has_the_limits_of_the_verdict() -> None:
    workers, persister = (int(limit) for limit in LONGEST_WAIT_S.values())
    assert f"workers {workers} s, persister {persister} s" in (DOCS / "operations.md").read_text()
