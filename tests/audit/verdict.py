"""What pip-audit's answer is worth. Pure.

It leaves out what the service does not know, says so beside the result, and calls the rest clean: a
list of which nothing was known passes. Here such a list is open, as is one whose service was away.
"""

import json
from dataclasses import dataclass
from typing import Any

SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one list: what is known, and why the answer is not whole, if it isn't."""

    asked: int = 0
    known: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether it could not be found out of all of them."""
        return bool(self.reason or self.untold) or not self.asked

    def __str__(self) -> str:
        """Say it in some lines."""
        lines = [f"\n  {each}" for each in self.known]
        told = f"{len(self.known)} known vulnerabilities in {self.asked} packages{''.join(lines)}"
        if self.reason:
            return f"not found out, the service can't be asked: {self.reason}"
        if not self.asked:
            return "not found out: it names no package"
        if len(self.untold) == self.asked:
            return (
                f"not found out: the service knows none of the {self.asked} packages. An index that"
                " only mirrors files does not tell; another service: ARGS='--service osv'"
            )
        if self.untold:
            shown = ", ".join(self.untold[:SHOWN_MAX])
            return f"{told}\n  not found out of {len(self.untold)}, such as {shown}"
        return told


def verdict_of(told: str, said: str) -> Verdict:
    """Read the JSON that pip-audit told, if it did, and what it said of its failure."""
    try:
        packages = json.loads(told)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(reason=_last_line(said) or "no answer, and no reason")
    return Verdict(
        asked=len(packages),
        known=tuple(line for package in packages for line in _known_of(package)),
        untold=tuple(package["name"] for package in packages if "skip_reason" in package),
    )


def _known_of(package: dict[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {' '.join([each['id'], *each['aliases']])}, "
        f"mended in {', '.join(each['fix_versions']) or 'no version'}"
        for each in package.get("vulns", [])
    ]


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""
