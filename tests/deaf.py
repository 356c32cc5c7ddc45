"""`python -m tests.deaf SERVICE TOPIC`: the service itself, whose readers of TOPIC can be stopped.

SIGUSR1 ends the task in which aiokafka fetches, in every consumer that reads the topic; SIGUSR2
begins it again. Nothing is raised by that, no connection closes, the group's heartbeats go on: what
a consumer that has silently stopped looks like.
"""

import asyncio
import runpy
import signal
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer

consumers: list[tuple[asyncio.AbstractEventLoop, AIOKafkaConsumer]] = []
start = AIOKafkaConsumer.start


async def noted_start(consumer: AIOKafkaConsumer) -> None:
    await start(consumer)
    consumers.append((asyncio.get_running_loop(), consumer))


def each_reader_of(topic: str, act: Any) -> None:
    for loop, consumer in consumers:
        if any(partition.topic == topic for partition in consumer.assignment()):
            loop.call_soon_threadsafe(act, consumer._fetcher)


def end(fetcher: Any) -> None:
    fetcher._fetch_task.cancel()


def begin(fetcher: Any) -> None:
    fetcher._fetch_task = asyncio.ensure_future(fetcher._fetch_requests_routine())


def main() -> None:
    service, topic = sys.argv[1:]
    AIOKafkaConsumer.start = noted_start
    signal.signal(signal.SIGUSR1, lambda *_: each_reader_of(topic, end))
    signal.signal(signal.SIGUSR2, lambda *_: each_reader_of(topic, begin))
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__")


if __name__ == "__main__":
    main()
