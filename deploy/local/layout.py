"""Where everything of one stack lives: its folder, its ports, what is remembered of them."""

from __future__ import annotations

import msgspec

from deploy.local import kept, ports
from deploy.local.broker import Node, TierListener
from deploy.local.program import Kind
from deploy.local.proxy.routes import servers_of
from deploy.local.secured import Secured
from deploy.local.settings import StackSettings


class PortTaken(Exception):
    """PORT, the one port that is not ours to choose, is taken."""


class Layout:
    """The places of one stack; opening it chooses what is free and remembers it."""

    def __init__(self, settings: StackSettings, *, servers_only: bool) -> None:
        """Open the folder's memory.

        Raises:
            PortTaken, kept.OtherShape, ports.NoFreePort: see there.
        """
        self.state = settings.state.resolve()
        self.services = () if servers_only else _services(settings)
        self._kept = kept.load(
            self.state, brokers=settings.brokers, shards=settings.shards, secure=settings.secure
        )
        self.secured = Secured(self.state) if settings.secure else None
        self._first_public = 0 if servers_only else _first_gateway_port(settings)
        names = _port_names(settings, self.services)
        chosen = ports.choose(names, self._kept.ports)
        self._ports = chosen.by_name
        self.moved = [
            f"{name}: port {old} is taken now, it moves to {chosen.by_name[name]}"
            for name, old in chosen.moved.items()
        ]
        self._remember(ports={**self._kept.ports, **chosen.by_name})
        self.nodes = [
            Node(
                n,
                self._ports[f"kafka-{n}"],
                self._ports[f"kafka-{n}-controller"],
                self._tier_listeners(n, settings.brokers) if settings.links else (),
            )
            for n in range(1, settings.brokers + 1)
            if settings.kafka is None
        ]

    @property
    def cluster_id(self) -> str:
        """The id of our Kafka cluster."""
        return self._kept.cluster_id

    @property
    def postgres_password(self) -> str:
        """The password of our PostgreSQL."""
        return self._kept.postgres_password

    def port(self, name: str) -> int:
        """The port of a server."""
        return self._ports[name]

    def admin_port(self, kind: Kind, number: int) -> int:
        """Where a service shows health and metrics."""
        return self._ports[f"{kind}-{number}-admin"]

    def public_port(self, kind: Kind, number: int) -> int | None:
        """Where the `number`th gateway (from 1) listens; the others have no public port."""
        return self._first_public + number - 1 if kind == "gateway" else None

    def link_port(self, tier: str, server: str) -> int:
        """Where the proxy listens for what this tier says to a server (`redis`, `kafka-2`)."""
        return self._ports[f"link-{tier}-{server}"]

    def _tier_listeners(self, broker: int, brokers: int) -> tuple[TierListener, ...]:
        name = f"kafka-{broker}"
        return tuple(
            TierListener(tier, self._ports[f"{name}-{tier}"], self.link_port(tier, name))
            for tier in servers_of(brokers)
        )

    def epoch(self, log: str) -> int | None:
        """The epoch remembered for a log."""
        return self._kept.epochs.get(log)

    def remember_epoch(self, log: str, epoch: int) -> None:
        """Keep the epoch of a log for the next start."""
        self._remember(epochs=self._kept.epochs | {log: epoch})

    def _remember(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self._kept, **changes)
        kept.save(self.state, changed)
        self._kept = changed


def _services(settings: StackSettings) -> tuple[tuple[Kind, int], ...]:
    counts: tuple[tuple[Kind, int], ...] = (
        ("gateway", settings.gateways),
        ("worker", settings.workers),
        ("persister", settings.persisters),
    )
    return tuple((kind, number) for kind, count in counts for number in range(1, count + 1))


def _first_gateway_port(settings: StackSettings) -> int:
    if not settings.port:
        return ports.free_run(settings.gateways)
    for port in range(settings.port, settings.port + settings.gateways):
        if not ports.reserve(port):
            raise PortTaken(
                f"port {port} is taken by another program: stop that, or choose another port "
                f"(PORT={settings.port + 100})"
            )
    return settings.port


def _port_names(settings: StackSettings, services: tuple[tuple[Kind, int], ...]) -> list[str]:
    """A name for each port that is ours to choose; a server that is given needs none."""
    numbers = range(1, settings.brokers + 1) if settings.kafka is None else ()
    names = [name for n in numbers for name in (f"kafka-{n}", f"kafka-{n}-controller")]
    names += [] if settings.postgres else ["postgres"]
    names += [] if settings.redis else ["redis"]
    names += [] if settings.model or not services else ["model"]
    names += _link_port_names(settings) if settings.links else []
    return names + [f"{kind}-{number}-admin" for kind, number in services]


def _link_port_names(settings: StackSettings) -> list[str]:
    """The proxy's own, and each broker's for a tier."""
    brokers = [f"kafka-{n}" for n in range(1, settings.brokers + 1)]
    tiers = servers_of(settings.brokers)
    return [
        "links",
        *(f"{broker}-{tier}" for broker in brokers for tier in tiers),
        *(f"link-{tier}-{broker}" for broker in brokers for tier in tiers),
        *(
            f"link-{tier}-{server}"
            for tier, servers in tiers.items()
            for server in servers
            if server != "kafka"
        ),
    ]
