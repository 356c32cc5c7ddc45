"""Text from a model is made harmless once, at the door, whatever becomes of it afterwards. Pure.

UTF-8 has no lone surrogates, Postgres takes no NUL, and a terminal or a log obeys control
characters. What a server says of itself in an error may hold keys: that text is for the log alone,
and what looks like a key is taken out even there.
"""

import re

from schemas.harmless_text import without_surrogates

REPLACEMENT = "\ufffd"
DETAIL_MAX_CHARS = 500

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_KEYS = re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|key|bearer|basic|token)[-_ :=]+[\w.*-]{6,}")


def harmless(text: str) -> str:
    """Give the text of an answer without what a reader, a table or a terminal would stumble over.

    Line breaks and tabs stay. A pair of surrogates is one character, and becomes it.
    """
    if text.isprintable():
        return text  # nearly always, and it costs a tenth of a search
    if _SURROGATES.search(text):
        text = str(without_surrogates(text))
    return _CONTROLS.sub(REPLACEMENT, text) if _CONTROLS.search(text) else text


def harmless_detail(text: str) -> str:
    """Give what a server has said of itself, for the log: one line, short, without keys."""
    line = " ".join(harmless(text[: 4 * DETAIL_MAX_CHARS]).split())
    return _KEYS.sub("[key]", line)[:DETAIL_MAX_CHARS]
