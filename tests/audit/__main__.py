"""Ask a service of known vulnerabilities about every version that is pinned.

    python -m tests.audit                              by the package index itself
    python -m tests.audit --service osv [--osv-url …]  by OSV, or a mirror of it
    python -m tests.audit --accept CVE-2026-1          go on though this one is known

Exit codes: 0 nothing is known, 1 something is, 3 it could not be found out.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.audit.verdict import Verdict, verdict_of

ROOT = Path(__file__).parents[2]
LISTS = (ROOT / "constraints.txt", ROOT / "deploy" / "requirements-image.txt")
CACHE = ROOT / ".cache" / "audit"
EXIT_KNOWN, EXIT_NOT_FOUND_OUT = 1, 3
ANSWER_WITHIN_S = 15
LIST_WITHIN_S = 600.0


def main(given: Sequence[str] | None = None) -> int:
    """Ask about every list; give the exit code."""
    arguments = _parser().parse_args(given)
    asked = ["--vulnerability-service", arguments.service]
    if arguments.osv_url:
        asked += ["--osv-url", arguments.osv_url]
    for known in arguments.accept:
        asked += ["--ignore-vuln", known]
    verdicts = []
    for file in arguments.file or LISTS:
        verdicts.append(audited(file, asked))
        print(f"{file.name}: {verdicts[-1]}", flush=True)
    if any(verdict.known for verdict in verdicts):
        return EXIT_KNOWN
    return EXIT_NOT_FOUND_OUT if any(verdict.open for verdict in verdicts) else 0


def audited(file: Path, asked: Sequence[str]) -> Verdict:
    """Ask about the versions in one file, as they stand there: nothing is resolved or installed."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(file)),
        *("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"),
        *("--timeout", str(ANSWER_WITHIN_S), "--cache-dir", str(CACHE)),
        *asked,
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIST_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(reason=f"no answer in {LIST_WITHIN_S:.0f} s")
    return verdict_of(done.stdout, done.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make audit")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    parser.add_argument("--osv-url", default="", help="another address for OSV")
    parser.add_argument("--accept", action="append", default=[], metavar="ID")
    parser.add_argument("file", nargs="*", type=Path, help="other lists than the project's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
