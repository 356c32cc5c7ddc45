"""The links of a stack with `LINKS=1`, cut and mended from a test.

with running_stack(folder, LINKS="1") as stack:
    stack.links.refuse("worker-redis")
    ...
    stack.links.open("worker-redis")
"""

import json
from typing import Any
from urllib.request import Request, urlopen

TIMEOUT_S = 20.0


class Links:
    """Gives orders to the proxy at `control_url`; each returns when it is carried out."""

    def __init__(self, control_url: str) -> None:
        self._url = f"{control_url}/links"

    def names(self) -> list[str]:
        """Every link."""
        return list(self.order("", None))

    def state(self, name: str) -> dict[str, Any]:
        """mode, connections, bytes_up, bytes_down, cut, triggered, armed, addresses, …"""
        state: dict[str, Any] = self.order("", None)[name]
        return state

    def open(self, name: str) -> None:
        """Carry everything; what a hole had swallowed goes on."""
        self.order(f"/{name}", {"mode": "open"})

    def refuse(self, name: str) -> None:
        """Abort every connection and take none until it is open."""
        self.order(f"/{name}", {"mode": "refuse"})

    def hole(self, name: str) -> None:
        """Keep connections and take new ones, but carry nothing until it is open."""
        self.order(f"/{name}", {"mode": "hole"})

    def delay(self, name: str, ms: int) -> None:
        """Carry each piece so much later, both ways."""
        self.order(f"/{name}", {"mode": "delay", "delay_ms": ms})

    def cut(self, name: str) -> None:
        """Abort every connection; new ones are welcome."""
        self.order(f"/{name}/cut", {})

    def cut_at(self, name: str, text: str, *, forward: bool, times: int = 1) -> None:
        """Abort the next connection whose client says `text`, after it was passed on or without."""
        order = {"bytes": text, "forward": forward, "times": times}
        self.order(f"/{name}/cut_at", order)

    def cut_after(self, name: str, text: str, after_bytes: int, *, times: int = 1) -> None:
        """Abort the next connection whose client says `text`, so many bytes after it."""
        order = {"once_seen": text, "after_bytes": after_bytes, "times": times}
        self.order(f"/{name}/cut_at", order)

    def order(self, path: str, order: dict[str, Any] | None) -> dict[str, Any]:
        """Post an order as it is, or get what is there. Raises HTTPError if it is refused."""
        data = None if order is None else json.dumps(order).encode()
        with urlopen(Request(self._url + path, data=data), timeout=TIMEOUT_S) as answer:
            said: dict[str, Any] = json.load(answer)
            return said
