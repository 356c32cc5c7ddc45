"""What a server says of a failure, in whatever form -> status, codes and words; and what it means.

OpenAI's form is `{"error": {"message", "type", "code"}}`. Others put a string there, lay the fields
flat beside `"object": "error"`, nest them in `detail` or `message`, or give the HTTP status as
`code`. What follows from it is `faults`' affair; here it is only read. Pure.
"""

import re
from typing import Any, NamedTuple

from workers.model.harmless import harmless_detail

_DEPTH_MAX = 4


class ToldError(NamedTuple):
    """`status` as HTTP has it, if one was told; `codes` in lower case."""

    status: int | None
    codes: frozenset[str]
    message: str


def told_error(value: object) -> ToldError | None:
    """Read an error out of a JSON value; None if it holds none (null, false, an empty one)."""
    if not value or value is True:
        return None
    if isinstance(value, str):
        return ToldError(None, frozenset(), harmless_detail(value))
    if isinstance(value, list):
        return next((told for each in value if (told := told_error(each)) is not None), None)
    if not isinstance(value, dict):
        return ToldError(None, frozenset(), harmless_detail(str(value)))
    codes = frozenset(_codes(value, 0))
    status = next((int(code) for code in codes if _is_status(code)), None)
    return ToldError(status, codes, harmless_detail(_words(value, 0)))


def _is_status(code: str) -> bool:
    return code.isascii() and code.isdigit() and len(code) == 3 and "400" <= code <= "599"


def _codes(value: dict[str, Any], depth: int) -> list[str]:
    codes: list[str] = []
    for name in ("code", "status", "status_code", "http_code", "type", "error_type"):
        told = value.get(name)
        if isinstance(told, str | int | float) and not isinstance(told, bool):
            codes.append(re.sub(r"\.0$", "", str(told)).lower()[:100])
    for inner in value.values():
        if isinstance(inner, dict) and depth < _DEPTH_MAX:
            codes += _codes(inner, depth + 1)
    return codes


def _words(value: object, depth: int) -> str:
    """Give the words for people; of a form that nobody knows, all of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and depth < _DEPTH_MAX:
        for name in ("message", "error", "detail", "msg", "reason", "error_message", "description"):
            if value.get(name):
                return _words(value[name], depth + 1)
    return str(value)
