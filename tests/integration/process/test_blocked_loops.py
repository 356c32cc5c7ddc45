"""A call that blocks a loop is named in the log; one that blocks it for ever ends the process."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_silent_readers import breakable
from tests.service import Service
from tests.stack import RunningStack
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.stack


def lines(service: Service, said: str) -> list[dict[str, Any]]:
    """What it has logged of that kind."""
    written = [line for line in service.output.read_text().splitlines() if line.startswith("{")]
    return [each for each in map(json.loads, written) if each["event"] == said]


def test_a_block_is_told_once_with_its_stack_and_once_when_it_is_over(
    servers: RunningStack, tmp_path: Path
) -> None:
    with breakable(
        ["tests.stuck", "gateway"], servers, tmp_path, TALKLOG_LOG_FORMAT="json"
    ) as stuck:
        stuck.process.send_signal(signal.SIGUSR1)
        stuck.until(lambda: lines(stuck, "the loop is blocked"))
        assert stuck.process.poll() is None
        stuck.process.send_signal(signal.SIGUSR2)
        stuck.until(lambda: lines(stuck, "the loop goes on"))
        stuck.until(lambda: stuck.health() == "ready\n")
        [blocked] = lines(stuck, "the loop is blocked")
        assert "waits_for_a_lock" in blocked["stack"]
        [goes_on] = lines(stuck, "the loop goes on")
        assert goes_on["blocked_s"] >= blocked["blocked_s"] >= 1.0


@pytest.mark.parametrize("service", ["gateway", "workers", "persister"])
def test_a_process_whose_loop_stays_blocked_ends_with_1(
    service: str, servers: RunningStack, tmp_path: Path
) -> None:
    limits = {"TALKLOG_STALL_LIMIT_S": "3", "TALKLOG_LOG_FORMAT": "json"}
    with breakable(["tests.stuck", service], servers, tmp_path, **limits) as stuck:
        stuck.process.send_signal(signal.SIGUSR1)
        assert stuck.process.wait(WITHIN_S) == 1
        [last] = lines(stuck, "the loop stays blocked: leaving")
        assert last["level"] == "critical"
        assert "waits_for_a_lock" in last["stack"]
