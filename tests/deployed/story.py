"""What must hold of an installation, however its processes are made: a chat goes through."""

import urllib.request
from functools import partial

import psycopg

from tests.deployed.installation import Installation
from tests.integration.gateway.client import Client
from tests.waiting import WITHIN_S, until

SHOWN = {
    "gateway": "talklog_gateway_connections ",
    "worker": "talklog_worker_waiting_seconds 0.0",
    "persister": "talklog_persister_rows_total ",
    "lag": "talklog_lag_up 1.0",
}
MESSAGE = {"type": "user_message", "content": "hello", "message_id": "m1"}


async def lives_and_ends(installation: Installation, session_id: str) -> None:
    """A message is answered and stored, each process is measured, and ends when it is told to."""
    said = await answer(installation, session_id)
    assert said
    await is_stored(installation, session_id, said)
    for name, metric in SHOWN.items():
        await until(partial(_shows, installation, name, metric), WITHIN_S, f"{name}: {metric}")
    for command in ("verify", "lag", "make-topics", "migrate"):
        done = installation.run("lag", "deploy", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    for name in SHOWN:
        assert installation.stop(name) == 0, installation.output(name).read_text()


async def answer(installation: Installation, session_id: str) -> str:
    """Say something in a session, with a token, and give the whole answer."""
    headers = {"Authorization": f"Bearer {installation.token(session_id.split('-')[0])}"}
    async with Client(installation.url, session_id, additional_headers=headers) as client:
        await client.joined()
        await client.send(MESSAGE)
        await client.got(lambda frame: frame["type"] == "ai_response_complete")
        return client.text()


async def is_stored(installation: Installation, session_id: str, said: str) -> None:
    """Wait until the tables hold the answer."""
    query = "SELECT content FROM streaming_messages WHERE session_id = %s ORDER BY chunk_sequence"
    with psycopg.connect(installation.dsn, autocommit=True) as connection:

        def there() -> bool:
            rows = connection.execute(query, (session_id,)).fetchall()
            return "".join(content for (content,) in rows) == said

        await until(there, WITHIN_S, f"the rows of {session_id}")


def _shows(installation: Installation, name: str, metric: str) -> bool:
    address = f"http://{installation.address(name)}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        return metric in answer.read().decode()
