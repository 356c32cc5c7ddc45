"""What can happen between two processes: cut, slow, black hole; and cuts at the worst moment.

`kafka-kafka` is what the brokers copy from each other: while it is cut nothing is acknowledged.
"""

import asyncio
from collections.abc import Callable

from tests.faults.field import Fault, Field, NoBite, Strike, Tier

HOLE_S = 8.0
REFUSED_S = 5.0
DELAY_MS, DELAY_S = 300, 6.0
TRIGGER_WITHIN_S = 20.0
CARRIED_MIN_BYTES = 1000
LINKS = (
    "gateway-kafka",
    "gateway-redis",
    "gateway-postgres",
    "worker-kafka",
    "worker-redis",
    "worker-postgres",
    "worker-model",
    "persister-kafka",
    "persister-postgres",
    "kafka-kafka",
)
QUIET = frozenset({"gateway-postgres", "worker-postgres"})
"""Asked for old history only, so there may be nothing on them to cut."""


def refused(link: str) -> Strike:
    """Every connection breaks, and none can be made for a while."""

    async def strike(field: Field) -> str:
        before = await _carries(field, link)
        field.stack.links.refuse(link)
        await asyncio.sleep(REFUSED_S)
        field.stack.links.open(link)
        return f"{before} connections cut, none for {REFUSED_S:g} s"

    return strike


def hole(link: str) -> Strike:
    """Connections stay, nothing passes for a while; then what was on its way does."""

    async def strike(field: Field) -> str:
        before = await _carries(field, link)
        field.stack.links.hole(link)
        await asyncio.sleep(HOLE_S)
        field.stack.links.open(link)
        return f"nothing passed on {before} connections for {HOLE_S:g} s"

    return strike


def delayed(link: str) -> Strike:
    """Everything comes later."""

    async def strike(field: Field) -> str:
        before = await _carries(field, link)
        field.stack.links.delay(link, DELAY_MS)
        await asyncio.sleep(DELAY_S)
        field.stack.links.open(link)
        return f"everything {DELAY_MS} ms later on {before} connections for {DELAY_S:g} s"

    return strike


def cut_at(text: str, *, after_bytes: int | None = None, forward: bool = True) -> Strike:
    """The persister's connection breaks at the worst moment: when it says `text` to Postgres."""
    link = "persister-postgres"

    async def strike(field: Field) -> str:
        links = field.stack.links
        before = links.state(link)["triggered"]
        if after_bytes is None:
            links.cut_at(link, text, forward=forward)
        else:
            links.cut_after(link, text, after_bytes)
        try:
            await field.until(
                lambda: links.state(link)["triggered"] > before, TRIGGER_WITHIN_S, "the cut"
            )
        except AssertionError:
            raise NoBite(f"no {text} passed in {TRIGGER_WITHIN_S:g} s") from None
        return f"cut at {text}" + (", passed on" if forward else ", not passed on")

    return strike


async def _carries(field: Field, link: str) -> int:
    """How many connections there are now; NoBite if the link carries nothing."""
    state = field.stack.links.state(link)
    carried = state["bytes_up"] + state["bytes_down"]
    if link not in QUIET and (not state["connections"] or carried < CARRIED_MIN_BYTES):
        raise NoBite(f"{link} has {state['connections']} connections and carried {carried} bytes")
    return int(state["connections"])


def _tier(link: str) -> Tier | None:
    if link == "kafka-kafka":
        return None
    if "persister" in link or "postgres" in link:
        return "storing"
    return "answering" if link in ("worker-kafka", "worker-model") else "between"


NETWORK_WAYS: tuple[Callable[[str], Fault], ...] = (
    lambda link: Fault(f"{link}, cut", refused(link), _tier(link)),
    lambda link: Fault(f"{link}, black hole", hole(link), _tier(link)),
    lambda link: Fault(f"{link}, slow", delayed(link), _tier(link)),
)
NETWORK = tuple(make(link) for link in LINKS for make in NETWORK_WAYS)
MOMENTS = (
    Fault("persister, cut in the middle of COPY", cut_at("COPY", after_bytes=200), "storing"),
    Fault("persister, cut before COMMIT", cut_at("COMMIT", forward=False), "storing"),
    Fault("persister, cut after COMMIT", cut_at("COMMIT", forward=True), "storing"),
)
