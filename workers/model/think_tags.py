"""Reasoning between tags at the start of an answer's text -> apart from the text. Pure.

Servers that know nothing of reasoning pass on what a model writes: `<think>…</think>`, then its
answer. Only at the start (white space before it, another one right behind it) is it taken for that:
in the middle of an answer, or in code, a tag is what the answer is about.

Some prompts open the tag themselves, and the model only closes it. What came before was reasoning
then. That can be told where nothing was given out yet: within the first piece, as in an answer that
comes whole. In a stream it is shown as text already when the tag comes, and a log takes nothing
back: it stands, and the tag (if it begins a line, outside of code) is left out. A server that
should do better has a setting for it: vLLM's and SGLang's `--reasoning-parser`, llama.cpp's
`--reasoning-format`.
"""

import re

_PAIRS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
}
"""DeepSeek, Qwen and most others; models that imitate Claude; Gemini; Seed-OSS; Magistral."""
_UNOPENED = "</think>"
_CLOSES = {close: re.compile(re.escape(close), re.IGNORECASE) for close in _PAIRS.values()}
_HELD_MAX_CHARS = 1000
"""So much white space may stand before a tag."""


class ThinkTags:
    """Takes an answer's text piece by piece, cut anywhere."""

    def __init__(self) -> None:
        self._held = ""
        """What may be the beginning of a tag."""
        self._close = ""
        """What ends the reasoning that is open now."""
        self._in_text = False
        self._any_tag = False
        self._any_reasoning = False
        self._last = ""  # of the text that was given out
        self._in_code = False

    def take(self, piece: str) -> tuple[str, str]:
        """Give the reasoning in this piece, and the text behind it; either may be empty."""
        if self._in_text and not self._held and "<" not in piece:
            self._passed(piece)  # nearly always
            return "", piece
        held, self._held = self._held + piece, ""
        reasoning = ""
        while not self._in_text:
            if self._close:
                thought, held = self._until_closed(held)
                reasoning += self._begun(thought)
                if self._close:
                    self._held = held
                    return reasoning, ""
            bare = held.lstrip()
            opened = next((tag for tag in _PAIRS if bare[: len(tag)].lower() == tag), None)
            if opened is not None:
                self._close, held = _PAIRS[opened], bare[len(opened) :]
                self._any_tag = True
            elif len(held) < _HELD_MAX_CHARS and _may_become_a_tag(bare):
                self._held = held
                return reasoning, ""
            else:
                self._in_text = True
                held = bare if self._any_tag else held
        if self._any_tag:
            return reasoning, held
        return self._without_unopened(held)

    def end(self) -> tuple[str, str]:
        """Give what was held back: it has not become a tag."""
        held, self._held = self._held, ""
        if self._close:
            return self._begun(held), ""
        return "", held if self._in_text or not self._any_tag else held.lstrip()

    def _until_closed(self, held: str) -> tuple[str, str]:
        """Cut open reasoning at its closing tag, or at what may become it."""
        # Not by `lower`, which makes two characters of some.
        if (found := _CLOSES[self._close].search(held)) is not None:
            self._close = ""
            return held[: found.start()], held[found.end() :]
        cut = len(held) - _begun_at_end(held, self._close)
        return held[:cut], held[cut:]

    def _begun(self, thought: str) -> str:
        """Leave out the white space before the first word of the reasoning."""
        if not self._any_reasoning:
            thought = thought.lstrip()
            self._any_reasoning = bool(thought)
        return thought

    def _without_unopened(self, text: str) -> tuple[str, str]:
        """Look for a closing tag that nothing has opened."""
        nothing_given, done = not self._last, 0
        for found in _CLOSES[_UNOPENED].finditer(text):
            at, after = found.span()
            self._passed(text[done:at])
            if not self._in_code and self._last in ("", "\n"):
                self._any_tag = True  # whatever comes now is the answer
                if not nothing_given:
                    return "", text[:at] + text[after:]
                self._in_text = False
                reasoning, rest = self.take(text[after:])
                return self._begun(text[:at]) + reasoning, rest
            self._passed(text[at:after])
            done = after
        cut = max(done, len(text) - _begun_at_end(text, _UNOPENED))
        self._passed(text[done:cut])
        self._held = text[cut:]
        return "", text[:cut]

    def _passed(self, text: str) -> None:
        """Note where the text stands after this: at the end of which character, and in code?"""
        self._last = text[-1:] or self._last
        self._in_code ^= text.count("`") % 2 == 1


def _may_become_a_tag(text: str) -> bool:
    return any(tag.startswith(text.lower()) for tag in _PAIRS)


def _begun_at_end(text: str, tag: str) -> int:
    """Say how many characters at the end of the text may be the beginning of the tag."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if text[-n:].lower() == tag[:n]), 0)
