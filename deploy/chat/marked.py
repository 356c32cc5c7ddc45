"""Markdown on a terminal while it is written: what has been written is never written again. Pure.

A terminal keeps what stands on it, so nothing may depend on what comes later: a mark is held back
until the letter behind it says what it is, and then the style changes from there on. Tables and
links stay as the model wrote them; code is code to its last line.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

_MAY_BEGIN = re.compile(
    r" {0,12}(?:#{1,6}|[-*+](?: (?:\[(?:[ xX]\]?)?)?)?|\d{1,9}[.)]?|>|`+|~+|-{2,}|\*{2,})?"
)
"""So much of a line may still become a mark."""
_HEADING = re.compile(r" {0,3}#{1,6} +")
_TASK = re.compile(r"( *)[-*+] \[([ xX])\] ")
_BULLET = re.compile(r"( *)[-*+] ")
_QUOTE = re.compile(r" {0,3}> ?")
_RULE = re.compile(r" {0,3}(?:-{3,}|\*{3,})\s*")
_FENCE = re.compile(r" {0,12}(`{3,}|~{3,})([^`]*)")
_RUN_OF = "*_~`\\"
_STYLE_OF = {
    "**": "bold",
    "__": "bold",
    "*": "italic",
    "_": "italic",
    "***": "bold italic",
    "~~": "strike",
}
CODE, HEADING, QUIET = "cyan", "bold underline", "dim"


@dataclass(slots=True)
class Marked:
    """One answer as it grows: give it what is new, and it gives the pieces to write, with styles.

    A style is one of rich's, "" is none.
    """

    _held: str = ""
    _before: str = "\n"
    """The last letter that was looked at."""
    _line_begun: bool = False
    _line_style: str = ""
    _open: list[str] = field(default_factory=list)
    """Marks of emphasis that have not been closed, and the run of backticks of code."""
    _fence: str = ""

    def more(self, text: str) -> Iterator[tuple[str, str]]:
        """Take what is new; give what can be written now."""
        self._held += text
        while self._held:
            line, newline, rest = self._held.partition("\n")
            if not self._line_begun:
                if not newline and self._undecided(line):
                    return
                yield from self._begin(line)
                continue
            done = yield from self._words(line, whole=bool(newline))
            if not newline:
                self._held = line[done:]
                return
            self._held = rest
            yield from self._end_line()

    def end(self) -> Iterator[tuple[str, str]]:
        """Give what was held back: nothing comes any more."""
        held, self._held = self._held, ""
        if held and not self._line_begun:
            self._held = held
            yield from self._begin(held)
            held, self._held = self._held, ""
        done = yield from self._words(held, whole=True)
        assert done == len(held)  # noqa: S101 - of a whole line nothing is held

    def _undecided(self, line: str) -> bool:
        if self._fence:
            return re.fullmatch(rf" {{0,3}}{re.escape(self._fence[0])}*\s*", line) is not None
        return _MAY_BEGIN.fullmatch(line) is not None or _FENCE.fullmatch(line) is not None

    def _begin(self, line: str) -> Iterator[tuple[str, str]]:
        """Say how a line begins, and leave in `_held` what follows its mark."""
        self._line_begun, self._line_style, taken = True, "", 0
        fence = _FENCE.fullmatch(line)
        if self._fence:
            closes = fence and fence[1].startswith(self._fence) and not fence[2].strip()
            self._line_style = CODE
            if closes:
                self._fence, taken = "", len(line)
        elif fence:
            self._fence, taken = fence[1], len(line)
            yield fence[2].strip(), QUIET
        elif not line.strip():
            self._open.clear()  # emphasis ends with its paragraph
        elif _RULE.fullmatch(line):
            taken = len(line)
            yield "─" * 40, QUIET
        elif heading := _HEADING.match(line):
            self._line_style, taken = HEADING, heading.end()
        elif task := _TASK.match(line):
            taken = task.end()
            yield f"{task[1]}{'☐' if task[2] == ' ' else '☑'} ", ""
        elif bullet := _BULLET.match(line):
            taken = bullet.end()
            yield f"{bullet[1]}• ", ""
        elif quote := _QUOTE.match(line):
            self._line_style, taken = QUIET, quote.end()
            yield "▎ ", QUIET
        self._before = "\n"
        self._held = self._held[taken:]

    def _end_line(self) -> Iterator[tuple[str, str]]:
        self._line_begun, self._line_style, self._before = False, "", "\n"
        yield "\n", ""

    def _words(self, line: str, *, whole: bool) -> Generator[tuple[str, str], None, int]:
        """Give the words of a line, and how many characters of it were looked at."""
        if self._line_style == CODE:
            yield from [(line, CODE)] if line else []
            return len(line)
        place, plain = 0, ""
        while place < len(line):
            if line[place] not in _RUN_OF:
                plain += line[place]
                place += 1
                continue
            run = _run(line, place)
            end = place + len(run)
            if end == len(line) and not whole:
                break  # what follows says what it is
            before = plain[-1:] or self._before
            meant = self._meant(run, before, line[end : end + 1] or "\n")
            if meant is None:
                plain += run if run[0] != "\\" else run[1:]
            else:
                yield from [(plain, self._style())] if plain else []
                self._before, plain = before, ""
                self._toggle(meant)
            place = end
        yield from [(plain, self._style())] if plain else []
        self._before = plain[-1:] or self._before
        return place

    def _meant(self, run: str, before: str, behind: str) -> str | None:
        """Give the mark that the run is, or None: it is what it says."""
        in_code = bool(self._open) and self._open[-1].startswith("`")
        if run[0] == "`":
            return run if not in_code or self._open[-1] == run else None
        if in_code or run not in _STYLE_OF:
            return None
        within = before.isalnum() and behind.isalnum()
        if run in self._open:
            return run if not before.isspace() and not (run[0] == "_" and within) else None
        return run if not behind.isspace() and not (within and run in ("_", "*", "__")) else None

    def _toggle(self, mark: str) -> None:
        if mark in self._open:
            self._open.remove(mark)
        else:
            self._open.append(mark)

    def _style(self) -> str:
        styles = [CODE if mark.startswith("`") else _STYLE_OF[mark] for mark in self._open]
        return " ".join(filter(None, [self._line_style, *styles]))


def _run(line: str, place: int) -> str:
    """The same letter as often as it stands there; a backslash with what it makes plain."""
    if line[place] == "\\":
        return line[place : place + 2]
    return "".join(takewhile(lambda letter: letter == line[place], line[place:]))
