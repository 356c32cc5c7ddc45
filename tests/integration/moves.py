"""Which numbers of a service's `/metrics` have moved, while a test makes them."""

import re

from tests.service import Service
from tests.waiting import WITHIN_S, until

_BUCKETS = re.compile(r"_(bucket|sum|created)$")


class Moves:
    """Looks again and again; a name is that without `talklog_TIER_` and `_total`.

    Where `label` is there, its value stands behind the name: `refused unsupported`.
    """

    def __init__(self, service: Service, tier: str, label: str = "code") -> None:
        self._service = service
        self._line = re.compile(
            rf"^talklog_{tier}_(\w+?)(?:_total)?(?:\{{([^}}]*)\}})? ([\d.e+-]+)$", re.M
        )
        self._label = re.compile(rf'{label}="(\w+)"')
        self.names: set[str] = set()
        self.moved: set[str] = set()

    def look(self) -> None:
        """Note which numbers are above 0 now; none if the service does not answer yet."""
        try:
            text = self._service.get("/metrics", self._service.admin_port)[1]
        except OSError:
            return
        for name, labels, value in self._line.findall(text):
            if _BUCKETS.search(name):
                continue
            found = self._label.search(labels)
            full = f"{name} {found[1]}" if found else name
            self.names.add(full)
            if float(value):
                self.moved.add(full)

    async def until(self, *names: str) -> None:
        """Wait until each of these has been above 0 at some look."""

        def have() -> bool:
            self.look()
            return self.moved >= set(names)

        await until(have, WITHIN_S, lambda: f"{set(names) - self.moved} of {self.moved}")

    def still(self) -> set[str]:
        """Give the names of which no number has moved, whatever its label."""
        by_name = {name.split()[0] for name in self.moved}
        return {name.split()[0] for name in self.names} - by_name
