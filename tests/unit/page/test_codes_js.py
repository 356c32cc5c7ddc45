"""Every code that the services can say is known to the page: none is shown as a code."""

import json
from typing import Any, get_args

import pytest

from schemas.close_codes import RECONNECT, CloseCode
from schemas.events import ErrorCode, FinishReason
from schemas.frames import GatewayErrorCode
from tests.unit.page.node import ROOT, node

ITS_OWN_WORDS = {"outcome_unknown", "nothing_to_cancel"}
"""Codes that never mark a message as failed, so that they need no sentence beside it."""


@pytest.fixture(scope="module")
def said() -> Any:
    asked = {
        "answer": get_args(ErrorCode),
        "submit": [code for code in get_args(GatewayErrorCode) if code not in ITS_OWN_WORDS],
        "finish": [*get_args(FinishReason), "out_of_budget"],
        "close": [int(code) for code in CloseCode],
    }
    ran = node(ROOT / "tests" / "javascript" / "said.js", json.dumps(asked))
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kind", ["answer", "submit"])
def test_every_error_has_a_sentence_of_its_own(said: Any, kind: str) -> None:
    general = set(said["unknown"])
    assert [code for code, words in said[kind].items() if words in general] == []


def test_only_an_answer_that_simply_ended_needs_no_words(said: Any) -> None:
    assert [reason for reason, words in said["finish"].items() if words is None] == ["stop"]


def test_a_message_that_came_too_soon_says_when_to_try_again(said: Any) -> None:
    assert said["waits"].endswith("Try again in 2 s.")


def test_a_code_of_a_later_version_is_shown_with_its_own_words(said: Any) -> None:
    assert said["finish"]["out_of_budget"] == "The answer ended: out of budget."
    assert said["later"] == ["It is gone.", "It is gone."]


def test_the_page_reconnects_exactly_after_the_codes_that_allow_it(said: Any) -> None:
    reconnects = {int(code) for code, then in said["close"].items() if then != "never"}
    assert reconnects == {int(code) for code in RECONNECT}
