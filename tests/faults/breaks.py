"""One rule broken at a time, in a copy of the code: then the same counters must not be 0.

A check that has never been red proves nothing. The product has no switch for any of this; what is
broken is the text of a copy, so that nobody can break a real installation with it.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("deploy", "gateway", "persister", "schemas", "workers")


@dataclass(frozen=True, slots=True)
class Change:
    """One text of one file, replaced; it must be there exactly once."""

    file: str
    old: str
    new: str


BREAKS: dict[str, tuple[Change, ...]] = {
    # A message counts as done when it is delivered: whoever dies with it takes it along.
    "ack-early": (
        Change(
            "workers/faust_group.py",
            "            self._events[message.partition, message.offset] = event\n",
            "            self._events[message.partition, message.offset] = event\n"
            "            event.ack()\n",
        ),
        Change(
            "workers/faust_group.py", "        if event is not None:\n            event.ack()\n", ""
        ),
    ),
    # Whatever a zombie writes is listened to.
    "no-fence": (
        Change(
            "schemas/transcript.py",
            'return message.state == "generating" and message.attempt == attempt',
            'return message.state == "generating"',
        ),
        Change(
            "schemas/transcript.py",
            "    if message.fence is not None and fence < message.fence:\n"
            "        return Outcome.FENCED\n",
            "",
        ),
        Change(
            "schemas/transcript.py",
            "    if event.attempt != message.attempt:\n        return Outcome.FENCED\n",
            "",
        ),
    ),
    # A persister writes whatever it holds, wherever the position is by now. The unique index would
    # still stop it from writing a row twice: it is left out, so that the guard alone decides.
    "skip-offset-guard": (
        Change(
            "persister/queries.sql",
            "    WHERE k.epoch = w.epoch AND k.next_offset = w.expected\n",
            "    WHERE k.epoch = w.epoch\n",
        ),
        Change(
            "schemas/postgres/0001.streaming_messages.sql",
            "CREATE UNIQUE INDEX idx_session_sequence",
            "CREATE INDEX idx_session_sequence",
        ),
    ),
}


SHOWN_BY = {
    "ack-early": ("worker, kill -9", "all workers dead"),
    "no-fence": ("worker, SIGSTOP",),
    "skip-offset-guard": ("persister, SIGSTOP",),
}
"""How the faults begin that need the rule; others would hardly ever show that it is broken."""


class MisfitError(Exception):
    """The text that is to be broken is not there, or is there more than once."""


def broken(change: Change, source: str) -> str:
    """Give the source with the change. Raises MisfitError."""
    if (found := source.count(change.old)) != 1:
        raise MisfitError(f"{change.file} holds {found} times: {change.old!r}")
    return source.replace(change.old, change.new)


@contextmanager
def broken_tree(name: str) -> Iterator[Path]:
    """Give a copy of the code in which the rule is broken. Raises MisfitError."""
    with tempfile.TemporaryDirectory(prefix="talklog-broken-") as folder:
        tree = Path(folder)
        for each in COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / each, tree / each, ignore=ignored)
        for change in BREAKS[name]:
            path = tree / change.file
            path.write_text(broken(change, path.read_text()))
        (tree / ".cache").symlink_to(ROOT / ".cache")  # the brokers' jars are fetched once
        yield tree
