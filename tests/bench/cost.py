"""CPU seconds by tier, from the processes themselves, and what the rest of the machine takes."""

import os
import time
from collections.abc import Mapping

import psutil

from deploy.local.stack_file import StackFile


def cpu_by_tier(stack_file: StackFile) -> dict[str, float]:
    """CPU seconds (user and system) that each tier has used so far, children included."""
    tiers = {
        "gateway": [gateway.pid for gateway in stack_file.gateways],
        "worker": [worker.pid for worker in stack_file.workers],
        "persister": [persister.pid for persister in stack_file.persisters],
        "kafka": [broker.pid for broker in stack_file.brokers],
        **{name: [pid] for name, pid in stack_file.others.items() if pid},
    }
    return {tier: sum(map(cpu_of, pids)) for tier, pids in tiers.items()}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its living children."""
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def of_this_run() -> float:
    """CPU seconds of this process and of everything that it has started and that lives."""
    return cpu_of(os.getpid())


def of_the_machine() -> float:
    """CPU seconds that all cores together have been busy since the machine's start."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


class Foreign:
    """What the rest of the machine does, from here on; of this run only what lives is known."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._spent_s = of_the_machine() - of_this_run()

    def cores(self) -> float:
        """How many cores it has kept busy, on average."""
        took_s = time.monotonic() - self._began_s
        return max(0.0, (of_the_machine() - of_this_run() - self._spent_s) / took_s)


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Give what each tier has used between two looks."""
    return {tier: after[tier] - used for tier, used in before.items()}
