"""Which links there are, and over which port of the proxy each goes to which server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# A persister never asks Redis, and only a worker asks the model.
SERVERS_OF: Mapping[str, tuple[str, ...]] = {
    "gateway": ("kafka", "redis", "postgres"),
    "worker": ("kafka", "redis", "postgres", "model"),
    "persister": ("kafka", "postgres"),
}
BETWEEN_BROKERS: Mapping[str, tuple[str, ...]] = {"kafka": ("kafka",)}
"""What several brokers copy from each other. The controllers' quorum goes its own way."""


def servers_of(brokers: int) -> Mapping[str, tuple[str, ...]]:
    """Which servers each tier asks; the brokers are one too if there are several."""
    return {**SERVERS_OF, **BETWEEN_BROKERS} if brokers > 1 else SERVERS_OF


@dataclass(frozen=True, slots=True)
class Route:
    """Who connects to 127.0.0.1:`port` reaches the server at `host`:`server_port`."""

    link: str
    port: int
    host: str
    server_port: int


def write(route: Route) -> str:
    """The route as an argument of the proxy's command."""
    return f"{route.link}={route.port}:{route.host}:{route.server_port}"


def read(argument: str) -> Route:
    """The route that `write` wrote. Raises ValueError if it is none."""
    link, _, way = argument.partition("=")
    port, host, server_port = way.split(":")
    return Route(link, int(port), host, int(server_port))


def by_link(routes: Iterable[Route]) -> dict[str, list[Route]]:
    """The routes of each link: to every broker, or to the one server."""
    links: dict[str, list[Route]] = {}
    for route in routes:
        links.setdefault(route.link, []).append(route)
    return links
