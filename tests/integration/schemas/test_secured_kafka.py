"""A real broker with TLS, passwords and the authorizer: who gets in, who may what, what is said."""

import asyncio
import base64
import gc
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)

from deploy.local import broker, jars
from deploy.local.ports import free_run
from deploy.local.program import wrapped
from deploy.local.secured import Secured
from deploy.operators import acls, topics
from schemas.brokers import Brokers, Mechanism
from schemas.kafka_rights import TIERS, Right, rights
from schemas.log.kafka_client import Admin, BrokersRefuse, Consumer, Producer
from schemas.topics import (
    DEAD_LETTERS,
    PERSISTER_GROUP,
    SESSION_LOG,
    USER_MESSAGES,
    WORKER_GROUP,
)
from tests.stack import end
from tests.transports import cut_all
from tests.waiting import WITHIN_S, wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MAY_WRITE = {
    "gateway": {USER_MESSAGES},
    "worker": {SESSION_LOG, DEAD_LETTERS},
    "persister": {DEAD_LETTERS},
    "operator": {USER_MESSAGES, SESSION_LOG, DEAD_LETTERS},
}
MAY_ASK = {
    "worker": {WORKER_GROUP},
    "persister": {PERSISTER_GROUP},
    "operator": {WORKER_GROUP, PERSISTER_GROUP},
}


MORE_LISTENERS = """
listeners=BROKER://127.0.0.1:{0},CONTROLLER://127.0.0.1:{1},MUTUAL://127.0.0.1:{2},OTHERS://127.0.0.1:{3}
advertised.listeners=BROKER://127.0.0.1:{0},MUTUAL://127.0.0.1:{2},OTHERS://127.0.0.1:{3}
listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SSL,MUTUAL:SSL,OTHERS:SASL_SSL
listener.name.mutual.ssl.client.auth=required
listener.name.others.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,OAUTHBEARER
listener.name.others.plain.sasl.jaas.config=\
  org.apache.kafka.common.security.plain.PlainLoginModule \
  required user_talklog-worker="{password}";
listener.name.others.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.others.oauthbearer.sasl.jaas.config=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
"""
"""One that asks for a client's certificate, and one with the other mechanisms."""


@pytest.fixture(autouse=True)
async def nothing_is_left_for_the_next() -> AsyncIterator[None]:
    """Close at once what TLS closes a while later, which would be after the loop's end.

    Else it is found, and told as a warning, in whatever test comes later.
    """
    yield
    await cut_all()
    gc.collect()


@dataclass
class Secure:
    """The broker, and what is secret."""

    secured: Secured
    address: str
    mutual: str
    others: str

    def as_user(self, user: str) -> Brokers:
        return self.secured.kafka(self.address, user)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    state = tmp_path_factory.mktemp("secure")
    port = free_run(4)
    node = broker.Node(1, port, port + 1)
    secured = Secured(state)
    program = broker.program(
        node,
        [node],
        state / "kafka-1",
        jars=jars.fetch(print),
        cluster_id="talklog-secured-test-0",
        secured=secured,
    )
    assert program.prepare is not None
    asyncio.run(_awaited(program.prepare()))
    with (state / "kafka-1" / broker.CONFIG).open("a") as config:
        password = secured.password("worker")
        config.write(MORE_LISTENERS.format(*range(port, port + 4), password=password))
    output = state / "log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            wrapped(program.argv, uid=None, death_signal=program.death_signal),
            # The quick compiler is enough for a broker that lives for seconds.
            env={**program.environment, "_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = Secure(
        secured, broker.addresses([node]), f"127.0.0.1:{port + 2}", f"127.0.0.1:{port + 3}"
    )

    def made() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            asyncio.run(_make_topics(found))
        except topics.TopicsUnusable:
            return False
        return True

    try:
        wait_until(made, WITHIN_S, output.read_text)
        yield found
    finally:
        end(process, 10.0)


async def _make_topics(secure: Secure) -> None:
    await topics.make(secure.as_user("admin"), 1, replication=1)
    await acls.grant(secure.as_user("admin"), rights())


async def _awaited(work: Awaitable[None]) -> None:
    await work


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("topic", [USER_MESSAGES, SESSION_LOG, DEAD_LETTERS])
async def test_each_tier_writes_what_it_must_and_nothing_else(
    secure: Secure, tier: str, topic: str
) -> None:
    error = await _refusal(_write(secure.as_user(tier), topic))
    if topic in MAY_WRITE[tier]:
        assert error is None
    else:
        assert isinstance(error, TopicAuthorizationFailedError)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("group", [WORKER_GROUP, PERSISTER_GROUP])
async def test_each_tier_knows_its_own_group_alone(secure: Secure, tier: str, group: str) -> None:
    error = await _refusal(_committed(secure.as_user(tier), group))
    if group in MAY_ASK.get(tier, ()):
        assert error is None
    else:
        assert isinstance(error, GroupAuthorizationFailedError)


@pytest.mark.parametrize("tier", TIERS)
async def test_no_tier_gives_rights_or_makes_topics(secure: Secure, tier: str) -> None:
    kafka = secure.as_user(tier)
    with pytest.raises(topics.TopicsUnusable, match="ClusterAuthorizationFailed"):
        await acls.grant(kafka, [Right("User:x", "topic", USER_MESSAGES, "Write")])
    async with topics.connected(kafka) as admin:
        [(_, code, *_)] = (await admin.create_topics([NewTopic("mine", 1, 1)])).topic_errors
    assert for_code(code) is TopicAuthorizationFailedError


WRONG: dict[str, tuple[Callable[[Brokers, Path], Brokers], str]] = {
    "no way in": (
        lambda kafka, _: Brokers(kafka.addresses),
        "TALKLOG_KAFKA_SECURITY=plaintext",
    ),
    "no TLS": (
        lambda kafka, _: replace(kafka, security="sasl_plaintext", ca=""),
        "TALKLOG_KAFKA_SECURITY=sasl_plaintext",
    ),
    "no password": (
        lambda kafka, _: replace(kafka, security="ssl", mechanism="", user="", password=""),
        "TALKLOG_KAFKA_SECURITY=ssl",
    ),
    "a wrong password": (
        lambda kafka, _: replace(kafka, password="x"),
        "TALKLOG_KAFKA_USER='talklog-gateway'",
    ),
    "nobody": (
        lambda kafka, _: replace(kafka, user="nobody"),
        "TALKLOG_KAFKA_USER='nobody'",
    ),
    "another mechanism": (
        lambda kafka, _: replace(kafka, mechanism="PLAIN"),
        "TALKLOG_KAFKA_SASL_MECHANISM=PLAIN",
    ),
    "another authority": (
        lambda kafka, folder: replace(kafka, ca=str(Secured(folder).ca)),
        "TALKLOG_KAFKA_CA=",
    ),
    "the system's authorities": (
        lambda kafka, _: replace(kafka, ca=""),
        "TALKLOG_KAFKA_CA=''",
    ),
    "a host that its certificate does not name": (
        lambda kafka, _: replace(kafka, addresses=kafka.addresses.replace("127.0.0.1", "127.1")),
        "TALKLOG_KAFKA_CA=",
    ),
}


@pytest.mark.parametrize("story", WRONG)
async def test_who_has_no_way_in_is_told_by_the_settings_name(
    secure: Secure, tmp_path: Path, story: str
) -> None:
    change, setting = WRONG[story]
    kafka = change(secure.as_user("gateway"), tmp_path)
    client = Admin(kafka, request_timeout_ms=5000)
    try:
        with pytest.raises(BrokersRefuse) as refused:
            await client.start()
    finally:
        await client.close()
    assert setting in str(refused.value)
    assert secure.secured.password("gateway") not in str(refused.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_the_other_passwords_are_taken_too(secure: Secure, mechanism: Mechanism) -> None:
    kafka = replace(secure.as_user("worker"), addresses=secure.others, mechanism=mechanism)
    assert await _refusal(_write(kafka, SESSION_LOG)) is None
    with pytest.raises(BrokersRefuse, match="TALKLOG_KAFKA_USER='talklog-worker'"):
        await _write(replace(kafka, password="x"), SESSION_LOG)


async def test_a_token_is_read_again_for_each_connection(secure: Secure, tmp_path: Path) -> None:
    token = tmp_path / "token"
    ca = str(secure.secured.ca)
    kafka = Brokers(
        secure.others, "sasl_ssl", mechanism="OAUTHBEARER", token_file=str(token), ca=ca
    )
    for user, may in (("talklog-worker", True), ("talklog-gateway", False)):
        token.write_text(_token(user, lasts_s=600) + "\n")
        error = await _refusal(_write(kafka, SESSION_LOG))
        assert (error is None) if may else isinstance(error, TopicAuthorizationFailedError)
    token.write_text(_token("talklog-worker", lasts_s=-600))
    with pytest.raises(BrokersRefuse, match="TALKLOG_KAFKA_TOKEN_FILE"):
        await _write(kafka, SESSION_LOG)
    token.unlink()
    with pytest.raises(BrokersRefuse, match=r"TALKLOG_KAFKA_TOKEN_FILE='.*': No such file"):
        await _write(kafka, SESSION_LOG)


async def test_a_token_is_fetched_by_name_and_secret(secure: Secure) -> None:
    asked: list[tuple[str, str]] = []

    async def give(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append((str(form["grant_type"]), str(form["scope"])))
        login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        user, _, password = login.partition(":")
        if password != "secret%3A1":
            return web.Response(status=401)
        token = _token(user, lasts_s=600)
        return web.json_response({"access_token": token, "expires_in": 600})

    app = web.Application()
    app.router.add_post("/token", give)
    async with TestServer(app) as server:
        kafka = Brokers(
            secure.others,
            "sasl_ssl",
            mechanism="OAUTHBEARER",
            user="talklog-worker",
            password="secret:1",
            token_url=str(server.make_url("/token")),
            token_scope="kafka",
            ca=str(secure.secured.ca),
        )
        assert await _refusal(_write(kafka, SESSION_LOG)) is None
        # Bootstrap, broker and coordinator: a client makes several connections of one token.
        assert asked == [("client_credentials", "kafka")]
        for wrong in (
            replace(kafka, password="x"),
            replace(kafka, token_url=str(server.make_url("/nothing"))),
        ):
            with pytest.raises(BrokersRefuse, match=r"TALKLOG_KAFKA_TOKEN_URL=.*40[14]"):
                await _write(wrong, SESSION_LOG)
    with pytest.raises(BrokersRefuse, match=r"TALKLOG_KAFKA_TOKEN_URL=.*Connect"):
        await _write(kafka, SESSION_LOG)


async def test_a_certificate_is_a_name_too(secure: Secure) -> None:
    certificate = str(secure.secured.certificate("kafka"))  # the brokers' own, who may everything
    with_one = Brokers(secure.mutual, "ssl", ca=str(secure.secured.ca), certificate=certificate)
    assert await _refusal(_write(with_one, SESSION_LOG)) is None
    for bare in (replace(with_one, certificate=""), Brokers(secure.mutual)):
        with pytest.raises(BrokersRefuse, match="TALKLOG_KAFKA_CERTIFICATE"):
            await _write(bare, SESSION_LOG)


def _token(user: str, *, lasts_s: int) -> str:
    """Unsigned, as brokers take one that were told of no key."""
    now = int(time.time())
    claims = {"sub": user, "iat": now - 1200, "exp": now + lasts_s}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


async def _refusal(asked: Awaitable[None]) -> KafkaError | None:
    try:
        await asked
    except KafkaError as error:
        return error
    return None


async def _write(kafka: Brokers, topic: str) -> None:
    producer = Producer(kafka, enable_idempotence=True, acks="all", request_timeout_ms=3000)
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", partition=0)
    finally:
        await producer.stop()


async def _committed(kafka: Brokers, group: str) -> None:
    consumer = Consumer(kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer.committed(TopicPartition(USER_MESSAGES, 0))
    finally:
        await consumer.stop()
