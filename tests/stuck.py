"""`python -m tests.stuck SERVICE`: the service itself, whose event loop can be blocked.

SIGUSR1 lets the loop's thread wait for a lock; SIGUSR2 lets it go on.
"""

import runpy
import signal
import sys
import threading

released = threading.Event()


def waits_for_a_lock() -> None:
    released.wait()
    released.clear()


def main() -> None:
    [_, service] = sys.argv
    signal.signal(signal.SIGUSR1, lambda *_: waits_for_a_lock())
    signal.signal(signal.SIGUSR2, lambda *_: released.set())
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__")


if __name__ == "__main__":
    main()
