"""Look at this machine and the settings, one line each, and say how to get what is missing.

It is asked before anything is installed (`python3 deploy/operators/doctor.py`), so the standard
library is all it needs; what needs more is checked once it is there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
JAVA_MIN = 17
DISK_MIN_BYTES = 1536 * 1024 * 1024
MEMORY_MIN_MIB = 1536
CONNECT_S = 2.0
COMMAND_S = 20.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Finding:
    """What one look found; `wrong`: the stack will not work like this."""

    name: str
    text: str
    wrong: bool = False


def doctor() -> None:
    """Check the machine and the settings; exit code 1 if something is wrong."""
    environment = os.environ
    findings = [finding for look in LOOKS for finding in look(environment)]
    for finding in findings:
        print(f"{'!!' if finding.wrong else 'ok'}  {finding.name:<10} {finding.text}")
    sys.exit(1 if any(finding.wrong for finding in findings) else 0)


def python(_: Mapping[str, str]) -> list[Finding]:
    """The Python that runs this, and whether it can make a venv."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - that is what is found out here
        return [Finding("python", f"{version}; 3.11 or newer is needed (PYTHON=… chooses)", True)]
    if importlib.util.find_spec("ensurepip") is None and not (ROOT / ".venv").exists():
        return [Finding("python", f"{version} can't make a venv: install python3-venv", True)]
    return [Finding("python", version)]


def java(environment: Mapping[str, str]) -> list[Finding]:
    """The Java that Kafka runs on."""
    if environment.get("TALKLOG_KAFKA"):
        return [Finding("java", "not needed: TALKLOG_KAFKA is given")]
    home = environment.get("JAVA_HOME")
    found = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    if found is None:
        text = f"missing: install Java {JAVA_MIN} or newer (Debian: openjdk-17-jre-headless)"
        return [Finding("java", text, True)]
    version = java_version(_output(found, "-version"))
    if version < JAVA_MIN:
        return [Finding("java", f"{found} is {version or 'unknown'}, needed: {JAVA_MIN}", True)]
    return [Finding("java", f"{version} ({found})")]


def java_version(text: str) -> int:
    """The major version in what `java -version` prints, 0 if there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0


def maven(environment: Mapping[str, str]) -> list[Finding]:
    """Maven, or the jars that it has fetched already."""
    if environment.get("TALKLOG_KAFKA"):
        return [Finding("kafka", "not needed: TALKLOG_KAFKA is given")]
    if any((ROOT / ".cache" / "kafka").glob("jars-*")):
        return [Finding("kafka", "its jars are here")]
    if shutil.which("mvn") is None:
        return [Finding("maven", "missing, Kafka can't be fetched: install maven", True)]
    return [Finding("maven", f"{shutil.which('mvn')}; it will fetch Kafka's jars (43 MB)")]


def packages(_: Mapping[str, str]) -> list[Finding]:
    """What `make` has installed."""
    if (ROOT / ".venv" / "installed.json").exists():
        return [Finding("packages", ".venv is there")]
    return [Finding("packages", "not installed yet: `make run` does it (about 170 MB)")]


def disk(environment: Mapping[str, str]) -> list[Finding]:
    """Room for packages, and for the stack's data."""
    state = Path(environment.get("STATE") or ROOT / ".local")
    findings = []
    for name, folder in (("disk", ROOT), ("state", _existing(state))):
        free = shutil.disk_usage(folder).free
        wrong = free < DISK_MIN_BYTES
        hint = f", {DISK_MIN_BYTES // 2**20} MB are needed: make room" if wrong else ""
        findings.append(Finding(name, f"{free // 2**20} MB free in {folder}{hint}", wrong))
    return findings


def memory(_: Mapping[str, str]) -> list[Finding]:
    """Memory for Kafka, the model and the rest."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    except OSError:
        return []
    mib = int(found.group(1)) // 1024 if found else 0
    wrong = mib < MEMORY_MIN_MIB
    hint = f"; the stack wants {MEMORY_MIN_MIB} MiB" if wrong else ""
    return [Finding("memory", f"{mib} MiB available{hint}", wrong)]


def browser(_: Mapping[str, str]) -> list[Finding]:
    """A browser for the tests; nothing else needs one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return [Finding("browser", found or "none installed; `make test` gets itself one")]


def settings(environment: Mapping[str, str]) -> list[Finding]:
    """Every mistake in the environment."""
    sys.path.insert(0, str(ROOT))  # when this file is run by itself
    try:
        from deploy.local.settings import BadStackSettings, from_environment
        from schemas.process.settings import misspelt
    except ImportError:
        return [Finding("settings", "checked once the packages are there")]
    problems = misspelt(environment)
    try:
        from_environment(environment)
    except BadStackSettings as error:
        problems += str(error).splitlines()
    return [Finding("settings", line, True) for line in problems] or [Finding("settings", "fine")]


def port(environment: Mapping[str, str]) -> list[Finding]:
    """PORT, unless it is our own stack that listens there."""
    number = environment.get("PORT") or "8000"
    if not number.isdigit() or _connects("127.0.0.1", int(number)) is not None:
        return [Finding("port", f"{number} is free")]
    if (Path(environment.get("STATE") or ROOT / ".local") / "stack.json").exists():
        return [Finding("port", f"{number} is served by the stack that runs")]
    return [Finding("port", f"{number} is taken by another program: choose one by PORT=…", True)]


def servers(environment: Mapping[str, str]) -> list[Finding]:
    """The servers that were given, by a connection each."""
    names = (
        "TALKLOG_KAFKA",
        "TALKLOG_REDIS_URL",
        "TALKLOG_POSTGRES_DSN",
        "OPENAI_BASE_URL",
        "TALKLOG_FALLBACK_BASE_URL",
    )
    findings = []
    for name in names:
        for host, number in addresses(environment.get(name, "")):
            problem = _connects(host, number)
            text = f"{host}:{number} {problem or 'answers'}"
            findings.append(Finding(name, text, problem is not None))
    return findings


def topics(environment: Mapping[str, str]) -> list[Finding]:
    """The settings of the topics on a Kafka that was given, if they are there already."""
    kafka = environment.get("TALKLOG_KAFKA")
    if not kafka:
        return []
    sys.path.insert(0, str(ROOT))  # when this file is run by itself
    try:
        from schemas.log.log_reader import LogUnavailable
        from schemas.log.topic_check import look_at_topics
        from schemas.process.connections import brokers_in
        from schemas.process.settings import SettingsError
        from schemas.topics import topics as wanted
    except ImportError:
        return [Finding("topics", "checked once the packages are there")]
    try:
        brokers = brokers_in(environment, kafka)
        found = asyncio.run(look_at_topics(brokers, [topic.name for topic in wanted(1, 1)]))
    except SettingsError as error:
        return [Finding("kafka", line, True) for line in error.problems]
    except LogUnavailable as error:
        return [Finding("topics", f"can't be looked at: {error}", True)]
    return [Finding("topics", odd.text, odd.wrong) for odd in found] or [Finding("topics", "fine")]


def addresses(given: str) -> list[tuple[str, int]]:
    """Host and port of every server in an address."""
    ports = {"https": 443, "http": 80, "redis": 6379, "rediss": 6379, "postgresql": 5432, "": 9092}
    found = []
    for part in filter(None, given.split(",")):
        parts = urlsplit(part if "://" in part else f"//{part}")
        found.append((parts.hostname or "127.0.0.1", parts.port or ports.get(parts.scheme, 0)))
    return found


LOOKS: tuple[Callable[[Mapping[str, str]], list[Finding]], ...] = (
    python,
    java,
    maven,
    packages,
    disk,
    memory,
    browser,
    settings,
    port,
    servers,
    topics,
)


def _connects(host: str, number: int) -> str | None:
    """None if something listens there, else why not."""
    try:
        socket.create_connection((host, number), CONNECT_S).close()
    except OSError as error:
        return f"can't be reached: {error}"
    return None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())


if __name__ == "__main__":
    doctor()
