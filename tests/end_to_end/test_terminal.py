"""`talklog chat` on a whole stack."""

import subprocess
import sys

import pytest

from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, talklog

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_a_message_from_a_pipe_is_answered_and_can_be_replayed(
    stack: RunningStack, model: ModelControl
) -> None:
    url = stack.file.gateways[1].url
    told = subprocess.run(
        [sys.executable, "-m", "deploy", "chat", "--session", "from-a-pipe", "--url", url],
        input="go [[key=pipe tokens=30 rate=200]]\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    text = answer_text("pipe", 1, 30)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"{text}\n", "")
    assert len(model.calls("pipe")) == 1
    assert text in talklog(stack, "replay", "--session", "from-a-pipe").stdout


def test_a_model_that_refuses_is_exit_1(stack: RunningStack, model: ModelControl) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "deploy", "chat", "--url", stack.file.gateways[0].url],
        input="go [[key=pipe-fails fault=status:400]]\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("chat: model_rejected: ")
