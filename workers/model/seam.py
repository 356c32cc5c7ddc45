"""Where a continued text and what a model writes behind it meet: nothing twice, nothing lost. Pure.

A model is not given the text exactly as it is. Templates trim white space at the end of what the
assistant said, and a text may have been cut within what is one character to a reader; so both are
left out (`given`), and what the model writes of them again is dropped.

Some servers take the text so far and begin from the start all the same. So what comes is held back
while it equals the beginning of the text; once that is too much for chance it is a repetition, and
nothing of it is told until the text is through. A model that says something else before that has
begun another answer: it can't be joined (`Diverged`).
"""

import unicodedata

SURE_CHARS = 80
"""So many characters that equal the text's beginning are a repetition; of a shorter text, all."""

_JOINER = "\u200d"
_MARKS = frozenset({"Mn", "Mc", "Me"})  # combining marks, variation selectors among them
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two make a flag


class Diverged(Exception):
    """The model repeats the beginning and then says something else: another answer."""


def given_of(text: str) -> str:
    """Give what a model is shown of the text: without white space and half a character at its end.

    It may be empty: then there is nothing to go on with.
    """
    text = text.rstrip()
    return text[: len(text) - _unfinished(text)].rstrip()


def _unfinished(text: str) -> int:
    """Count the characters at the end that belong to what a reader may see as one still to come."""
    flags = len(text) - len(text.rstrip(_REGIONAL))
    if flags:
        return flags % 2
    end = len(text)
    while end and (_joins(text[end - 1]) or (end < len(text) and _joins(text[end]))):
        end -= 1
    return len(text) - end


def _joins(char: str) -> bool:
    return char == _JOINER or ord(char) in _SKIN_TONES or unicodedata.category(char) in _MARKS


class Seam:
    """Takes what a model writes after it was given `given_of(so_far)`."""

    def __init__(self, so_far: str) -> None:
        given = given_of(so_far)
        # Servers differ in the white space before the first word.
        self._text = so_far.lstrip() if given else ""
        self._cut = so_far[len(given) :]
        self._held = ""
        self._listening = bool(self._text)
        self._repeated: int | None = None  # so many characters of the text have come again

    @property
    def repeats(self) -> bool:
        """Whether it is in the middle of a repetition: nothing of this stream can be told."""
        return self._repeated is not None

    def take(self, content: str) -> str:
        """Take what has come next; gives what of it is new. Raises Diverged."""
        if self._repeated is not None:
            return self._skip(content)
        if self._listening:
            self._held += content
            said = self._held.lstrip()
            sure = min(SURE_CHARS, len(self._text))
            if self._text.startswith(said[:sure]):
                if len(said) < sure and len(self._held) < 2 * SURE_CHARS:
                    return ""
                if len(said) >= sure:
                    self._listening, self._held, self._repeated = False, "", 0
                    return self._skip(said)
            return self._listened()
        return self._without_cut(content)

    def end(self) -> str:
        """Give what was held back: nothing more comes. Raises Diverged."""
        if self._repeated is not None and self._repeated < len(self._text) - len(self._cut):
            raise Diverged
        return self._listened()

    def _listened(self) -> str:
        held, self._held, self._listening = self._held, "", False
        return self._without_cut(held)

    def _without_cut(self, content: str) -> str:
        """Drop what is written again of what the model was not given."""
        same = _equal(self._cut, content)
        self._cut = self._cut[same:] if same == len(content) else ""
        return content[same:]

    def _skip(self, content: str) -> str:
        assert self._repeated is not None  # noqa: S101 - asked before
        if self._text.startswith(content, self._repeated):
            self._repeated += len(content)
            content = ""
        else:
            same = _equal(self._text[self._repeated :], content)
            self._repeated += same
            content = content[same:]
        left = len(self._text) - self._repeated
        if left and not content:
            return ""
        if left > len(self._cut):
            raise Diverged
        self._repeated, self._cut = None, ""
        return content


def _equal(one: str, other: str) -> int:
    """Count the characters at the beginning that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
