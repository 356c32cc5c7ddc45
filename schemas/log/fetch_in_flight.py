"""What aiokafka's fetcher asks with, and how a fetch that waits with the broker is given up.

A broker answers a connection's requests one at a time, and a fetch at rest waits there for seconds:
a shard that is followed anew would be asked for only after it. Kafka has no way to take a request
back but to close its connection; another one is there in a few milliseconds. What was not answered
is asked for again, and nothing is lost: positions move with what was taken.

By itself the fetcher looks round five times a second though nothing has happened, for it misses an
event (records were taken, a shard was followed) of the very turn of the loop in which a fetch ends.
With one broker there is one fetch at a time: what is taken is taken after its end, and whoever
follows anew ends the rest. So at rest it may look seldom; with more brokers it looks as before.
"""

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.fetch import FetchRequest_v0

from schemas.log.reading_pace import ReadingPace

LOOKS_ROUND_S = 0.2
LOOKS_ROUND_AT_REST_S = 1.0
ON_ITS_WAY_S = 0.005
LOOKS_MAX = 4
"""A fetch that was made a moment ago may not be on a connection yet: it is looked for again."""


def fetched(client: AIOKafkaConsumer, pace: ReadingPace, *, records: bool) -> None:
    """Take that a fetch brought records or none; the next ones wait as the pace says then."""
    pace.fetched(time.monotonic(), records=records)
    _keep(client, pace)


def followed(client: AIOKafkaConsumer, pace: ReadingPace) -> None:
    """Take that something is followed anew: a fetch that was asked at rest is given up for it."""
    rested = pace.rests
    pace.followed(time.monotonic())
    _keep(client, pace)
    if rested:
        _give_up_fetch(client)


def _keep(client: AIOKafkaConsumer, pace: ReadingPace) -> None:
    fetcher = client._fetcher
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = pace.now
    seldom = pace.rests and len(client._client.cluster.brokers()) == 1
    fetcher._fetcher_timeout = LOOKS_ROUND_AT_REST_S if seldom else LOOKS_ROUND_S


def _give_up_fetch(client: AIOKafkaConsumer, looks: int = LOOKS_MAX) -> None:
    """Have the consumer fetch anew, with what it follows and waits for from now on."""
    given_up = sum(map(_give_up, _connections(client)))
    missed = given_up < len(client._fetcher._in_flight)
    looks_left = looks - 1 if missed else 0
    asyncio.get_running_loop().call_later(ON_ITS_WAY_S, _look, client, looks_left)


def _look(client: AIOKafkaConsumer, looks_left: int) -> None:
    if looks_left:
        _give_up_fetch(client, looks_left)
    client._fetcher._notify(client._fetcher._wait_consume_future)


def _connections(client: AIOKafkaConsumer) -> list[Any]:
    return [
        connection
        for (_, group), connection in client._client._conns.items()
        if group == ConnectionGroup.DEFAULT
    ]


def _give_up(connection: Any) -> bool:
    """Close a connection on which nothing but a fetch is waited for."""
    waiting = [(asked, answer) for _, asked, answer in connection._requests if not answer.done()]
    if not waiting or any(_is_other(asked) for asked, _ in waiting):
        return False
    # Cancelled first: a connection that is closed under a request is an error to aiokafka's
    # fetcher, after which it rests and says so. Not its task: cancelled at another place, that
    # would end the fetcher in silence.
    for _, answer in waiting:
        answer.cancel()
    connection.close()
    return True


def _is_other(asked: Any) -> bool:
    return asked is None or asked.API_KEY != FetchRequest_v0.API_KEY
