"""`python -m deploy.operators.ready`: is the process in this container ready? For health checks.

It asks the admin port that the environment names, and prints what it says. Exit code 0 ready, 1
not. The standard library is all it needs, so that it costs little however often it is asked.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0


def main() -> int:
    """Ask once."""
    connection = HTTPConnection(
        "127.0.0.1", int(os.environ.get("TALKLOG_ADMIN_PORT") or 0), timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())
        return 0 if answer.status == 200 else 1
    except (OSError, HTTPException) as error:
        print(f"nobody answers: {error}")
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
