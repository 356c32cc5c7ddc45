"""The proxy as a program of the stack: between which addresses it stands, and how it is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import deploy
from deploy.local import postgres, redis
from deploy.local.broker import TierListener
from deploy.local.layout import Layout
from deploy.local.probe import http_ok
from deploy.local.program import Program
from deploy.local.proxy.routes import SERVERS_OF, Route, servers_of, write
from deploy.local.services import Addresses

HERE = "127.0.0.1"


def program(layout: Layout, model: str) -> Program:
    """How to run the proxy; `model` is the model's own address, empty if there is none."""
    port = layout.port("links")

    async def ready() -> bool:
        return await http_ok(port, "/links")

    ways = [write(route) for route in _routes(layout, model)]
    return Program(
        name="links",
        kind="links",
        argv=[sys.executable, "-m", "deploy.local.proxy", str(port), *ways],
        environment=dict(os.environ),
        ready=ready,
        address=url(layout),
        folder=Path(deploy.__file__).parent.parent,
        ready_within_s=30.0,
    )


def url(layout: Layout) -> str:
    """Where it takes orders."""
    return f"http://{HERE}:{layout.port('links')}"


def through(layout: Layout, tier: str, direct: Addresses) -> Addresses:
    """The same servers, by way of this tier's links."""
    brokers = [f"{HERE}:{each.advertised_port}" for each in _listeners(layout, tier)]
    found = replace(
        direct,
        kafka=",".join(brokers),
        postgres=postgres.dsn(layout.link_port(tier, "postgres"), layout.postgres_password),
    )
    if "redis" in SERVERS_OF[tier]:
        found = replace(found, redis=redis.url(layout.link_port(tier, "redis")))
    if "model" in SERVERS_OF[tier]:
        own = urlsplit(direct.model)
        netloc = f"{HERE}:{layout.link_port(tier, 'model')}"
        found = replace(found, model=own._replace(netloc=netloc).geturl())
    return found


def _routes(layout: Layout, model: str) -> Iterator[Route]:
    for tier, servers in servers_of(len(layout.nodes)).items():
        for server in servers:
            link = f"{tier}-{server}"
            if server == "kafka":
                for each in _listeners(layout, tier):
                    yield Route(link, each.advertised_port, HERE, each.port)
            elif server != "model":
                yield Route(link, layout.link_port(tier, server), HERE, layout.port(server))
            elif model:
                own = urlsplit(model)
                yield Route(
                    link, layout.link_port(tier, server), own.hostname or HERE, own.port or 80
                )


def _listeners(layout: Layout, tier: str) -> list[TierListener]:
    return [each for node in layout.nodes for each in node.tiers if each.tier == tier]
