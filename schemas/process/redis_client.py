"""The one place where clients of Redis are made: one server, a sentinels' master, a cluster.

Who comes when all connections are taken waits for one: the library raises at once, and a hundred
questions in one moment looked like a Redis that is away. Its waiting pool is for one server only,
so `RedisClient.place` is taken for each question, whatever is behind it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis import DriverInfo
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
)

from schemas.redis_address import RedisAddress, redis_address

SENTINEL_OPTIONS = "sentinel_"
SETTING = "TALKLOG_REDIS_URL"
AWAY = (RedisError, OSError, TimeoutError, RuntimeError, AttributeError)
"""What is raised where Redis does not answer. Of a connection that was closed since it was last
used it is RuntimeError by uvloop, and AttributeError by a cluster's client, where the failure of
another question has closed it."""
UNKNOWN_SCRIPT = NoScriptError
"""What a server answers that has not been given the script yet."""
DRIVER = DriverInfo()
"""How a connection names itself. By itself the library reads its version from files, for each."""


class RedisClient:
    """A client of the library's (`redis`), and the place that a question takes meanwhile."""

    def __init__(self, redis: Any, connections_max: int, sentinel: Any = None) -> None:
        self.redis = redis
        self._sentinel = sentinel
        self._places = asyncio.Semaphore(connections_max)
        self._finding = asyncio.Lock()

    @property
    def is_cluster(self) -> bool:
        """Whether keys may lie on several servers."""
        return isinstance(self.redis, RedisCluster)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place while Redis is asked; wait for one if all are taken."""
        async with self._places:
            if self.is_cluster:
                # Several that look for the nodes at once close each other's connections. Once they
                # are found this does nothing.
                async with self._finding:
                    await self.redis.initialize()
            yield

    async def aclose(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def reason(error: BaseException) -> str:
    """Say what went wrong, by the setting's name where that is what the server refuses."""
    text = f"{type(error).__name__}: {error}"
    refused = isinstance(error, AuthenticationError | NoPermissionError) or "SSL" in text
    return f"{SETTING}: {text}" if refused else text


def redis_client(url: str, *, connections_max: int, answer_limit_s: float) -> RedisClient:
    """Make a client; nothing is sent yet. Raises schemas.redis_address.BadAddress."""
    address = redis_address(url)
    options: dict[str, Any] = {
        "socket_timeout": answer_limit_s,
        "socket_connect_timeout": answer_limit_s,
        "driver_info": DRIVER,
    }
    if address.kind == "sentinel":
        return _of_sentinels(address, options, connections_max)
    if address.kind == "cluster":
        return RedisClient(_of_cluster(address, options, connections_max), connections_max)
    pool = BlockingConnectionPool.from_url(
        url, max_connections=connections_max, timeout=answer_limit_s, **options
    )
    return RedisClient(Redis.from_pool(pool), connections_max)


def _of_sentinels(address: RedisAddress, given: dict[str, Any], most: int) -> RedisClient:
    options = _options(address) | given
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    own = {
        name.removeprefix(SENTINEL_OPTIONS): options.pop(name)
        for name in list(options)
        if name.startswith(SENTINEL_OPTIONS)
    }
    make: Any = Sentinel  # not typed in the library
    sentinel = make(
        list(address.nodes), sentinel_kwargs={**given, **tls, **own, "retry": _once()}, **options
    )
    return RedisClient(sentinel.master_for(address.master, max_connections=most), most, sentinel)


def _of_cluster(address: RedisAddress, given: dict[str, Any], most: int) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    options = _options(address) | given
    options.pop("db", None)
    # A question may be sent on by a node, and is then asked once more beside it.
    return RedisCluster(startup_nodes=nodes, max_connections=2 * most, retry=_once(), **options)


def _once() -> Retry:
    """Ask one that is away no second time: by itself the library waits for seconds in between."""
    return Retry(NoBackoff(), 0)


def _options(address: RedisAddress) -> dict[str, Any]:
    """What stands in the address beside the place, as the library's own reader finds it."""
    options: dict[str, Any] = dict(parse_url(address.one))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    return options | ({"ssl": True} if address.tls else {})
