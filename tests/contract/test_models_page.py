"""The table of servers in docs/models.md says what their recorded forms say, and the rules do."""

import json
import re
from pathlib import Path

import pytest

from tests.contract.test_dialects import FORMS, REASONING, TOO_LONG
from workers.model.continuation import Form, forms_of

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
SERVERS_MIN = 13
TOLD_FORMS = {
    "never": (),
    "plain": (Form.PLAIN,),
    "prefix": (Form.PREFIX,),
    "as vLLM, prefix, plain": tuple(Form),
}


def table() -> dict[str, list[str]]:
    """The cells of each server's row."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return {row[0]: row[1:] for row in rows}


def recorded(server: str) -> str:
    """All that is recorded of a server, as it stands in its bytes."""
    thoughts = [REASONING[name] for name in REASONING if re.match(rf"{server}\b", name)]
    sent = b"".join(part for form in [FORMS[server], *thoughts] for part in form)
    status, body = TOO_LONG[server]
    return f"{sent.decode()}\n{status} {json.dumps(body)}"


@pytest.mark.parametrize("server", table())
def test_each_word_of_a_row_is_recorded_of_its_server(server: str) -> None:
    text, thinks, ends, counts, too_long, goes_on = table()[server]
    told = recorded(server)
    for cell in (text, thinks, ends, counts, too_long):
        words = re.findall(r"`([^`]+)`", cell)
        assert words or cell.startswith(("as OpenAI", "tells none")), cell
        assert [word for word in words if word not in told] == []
    form, _, where = goes_on.partition(" (")
    host, *path = re.findall(r"`([^`]+)`", where) or ["some.example"]
    assert forms_of(host, path[0] if path else "/v1") == TOLD_FORMS[form]


def test_no_server_is_missing() -> None:
    named = set(table())
    assert len(named) >= SERVERS_MIN
    assert named == set(FORMS) & set(TOO_LONG)


@pytest.mark.parametrize("server", table())
def test_a_server_that_tells_no_thoughts_has_none_recorded(server: str) -> None:
    any_recorded = any(re.match(rf"{server}\b", name) for name in REASONING)
    assert any_recorded is (table()[server][1] != "tells none")
