"""A Chromium for the browser tests: an installed one, else Debian's, else Playwright's.

`python -m tests.chromium` gets one if there is none, and exits with 2 if it can't.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser

INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT = {"DEBIAN_FRONTEND": "noninteractive"}


def executable() -> str | None:
    """The path of an installed Chromium; None: Playwright's own is to be used."""
    return next((path for name in INSTALLED if (path := shutil.which(name))), None)


def playwright_has_one() -> bool:
    """Whether Playwright has fetched its own Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)


@asynccontextmanager
async def launched() -> AsyncIterator["Browser"]:
    """Chromium, as the machine has it, until the block ends."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        # As root Chromium refuses to start with its sandbox.
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


def get() -> int:
    """Make sure that there is one; the exit code."""
    if executable() or playwright_has_one():
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("getting a browser: Debian's chromium (about 90 MB)", flush=True)
        environment = os.environ | APT
        subprocess.call(["apt-get", "-qq", "update"], env=environment)
        install = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.call(install, env=environment, stdout=subprocess.DEVNULL)
        if executable():
            return 0
    print("getting a browser: Playwright's Chromium (about 170 MB)", flush=True)
    fetched = subprocess.call([sys.executable, "-m", "playwright", "install", "chromium"])
    if fetched == 0 and playwright_has_one():
        return 0
    print("there is no browser, and none could be got: install chromium", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(get())
