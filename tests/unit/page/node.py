"""Runs JavaScript with the node inside the playwright wheel: nothing else must be installed."""

import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

ROOT = Path(__file__).parents[3]
LIMIT_S = 40


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run node to its end."""
    executable, _ = compute_driver_executable()
    return subprocess.run(
        [executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
