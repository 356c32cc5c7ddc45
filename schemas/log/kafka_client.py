"""The one place where clients of Kafka are made, so that none can forget TLS or its password.

aiokafka says "unable to bootstrap" whatever the reason, and logs the reason without the setting
that is behind it. So when a client can't start, the brokers are asked once more, and what they
refuse is told by the setting's name (`BrokersRefuse`). It is an error of Kafka like others: whoever
waits for a broker waits for its repair, too.

Certificates, keys and tokens are read for each client, tokens for each connection: what is renewed
in its file is used from then on.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from schemas import brokers as names
from schemas.brokers import Brokers, Kafka, brokers_at
from schemas.log import fetched as fetched  # every consumer reads with it
from schemas.log.kafka_token import FetchedToken, FileToken
from schemas.process.tls import Unreadable, tls_context

ASK_AGAIN_S = 3.0


class BrokersRefuse(KafkaConnectionError):  # type: ignore[misc]
    """The brokers are there and can't be used like this; the text names the setting."""

    retriable = True

    def __str__(self) -> str:
        return str(self.args[0])


class _OfBrokers:
    """What all clients have in common. Making one raises BrokersRefuse, starting it does too."""

    def __init__(self, kafka: Kafka, **options: Any) -> None:
        super().__init__(**arguments(kafka), **options)
        self._kafka = kafka

    async def start(self) -> None:
        """Connect; a consumer joins its group, if it has one."""
        client: Any = super()
        async with _named(self._kafka):
            await client.start()


class Consumer(_OfBrokers, AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's, for these brokers."""


class Producer(_OfBrokers, AIOKafkaProducer):  # type: ignore[misc]
    """aiokafka's, for these brokers."""


class Admin(_OfBrokers, AIOKafkaAdminClient):  # type: ignore[misc]
    """aiokafka's, for these brokers."""


@contextlib.asynccontextmanager
async def _named(kafka: Kafka) -> AsyncIterator[None]:
    """Say which setting is behind it, if a client can't start for one."""
    try:
        yield
    except KafkaConnectionError as error:
        if (why := await why_refused(kafka)) is not None:
            raise BrokersRefuse(why) from error
        raise


def arguments(kafka: Kafka) -> dict[str, Any]:
    """Give what every client of aiokafka needs: where, how and as whom. Raises BrokersRefuse."""
    brokers = brokers_at(kafka)
    return {"bootstrap_servers": brokers.addresses.split(","), **_secured(brokers)}


class _HearingAuthenticator(conn.OAuthAuthenticator):  # type: ignore[misc]
    """Takes the broker's no for one.

    A broker that refuses a token says why and waits for a last word (RFC 7628, 3.2.2). aiokafka
    0.14 takes any answer for a yes, and what comes after for metadata of a cluster without brokers.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if self._token_sent and payload:
            raise SaslAuthenticationFailed(payload.decode(errors="replace"))
        try:
            step: tuple[bytes, bool] | None = await super().step(payload)
        except Unreadable as error:
            raise BrokersRefuse(str(error)) from error
        return step


conn.OAuthAuthenticator = _HearingAuthenticator


async def why_refused(kafka: Kafka) -> str | None:
    """Connect once more, and say which setting the brokers refuse; None: none answers."""
    brokers = brokers_at(kafka)
    for address in brokers.addresses.split(","):
        try:
            await _ask(brokers, address.strip())
        except (KafkaError, OSError, TimeoutError) as error:
            if (why := refusal(brokers, error)) is not None:
                return f"{address}: {why}"
    return None


async def _ask(brokers: Brokers, address: str) -> None:
    """Do what a client begins with. Raises KafkaError, OSError, TimeoutError."""
    host, _, port = address.rpartition(":")
    connecting = conn.create_conn(
        host.strip("[]"),
        int(port),
        client_id="talklog",
        request_timeout_ms=int(ASK_AGAIN_S * 1000),
        **{"security_protocol": "PLAINTEXT"} | _secured(brokers),
    )
    connection = await asyncio.wait_for(connecting, ASK_AGAIN_S)
    try:
        # Who may not is told so late: to ask for its versions anybody may.
        await asyncio.wait_for(connection.send(MetadataRequest([])), ASK_AGAIN_S)
    finally:
        connection.close()


def refusal(brokers: Brokers, error: BaseException) -> str | None:
    """Say which setting an error of a connection is about, or None: it is about none."""
    match error:
        case BrokersRefuse():
            return str(error)
        case ssl.SSLCertVerificationError():
            return f"{names.CA}={brokers.ca!r}: its certificate is not good: {_reason(error)}"
        case ssl.SSLError():
            return f"{_security(brokers)}: no TLS with it: {_reason(error)}"
        case SaslAuthenticationFailed():
            given = {names.TOKEN_FILE: brokers.token_file, names.TOKEN_URL: brokers.token_url}
            tokens = [f"{name}={place!r}" for name, place in given.items() if place]
            which = tokens[0] if tokens else f"{names.USER}={brokers.user!r}"
            return f"{which}: it takes neither name nor password, or not this token ({error})"
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return f"{names.MECHANISM}={brokers.mechanism}: it does not take this: {error}"
        case KafkaConnectionError() | ConnectionError() if not isinstance(
            error, ConnectionRefusedError
        ):
            return (
                f"{_security(brokers)}: it closed the connection unasked: it may want TLS, a "
                f"password or a client's certificate ({names.CERTIFICATE}), or none of them"
            )
    return None


def _secured(brokers: Brokers) -> dict[str, Any]:
    if brokers.security == "plaintext":
        return {}
    secured: dict[str, Any] = {"security_protocol": brokers.security.upper()}
    if brokers.encrypted:
        try:
            secured["ssl_context"] = tls_context(brokers)
        except Unreadable as error:
            raise BrokersRefuse(str(error)) from error
    if brokers.sasl:
        secured["sasl_mechanism"] = brokers.mechanism
        if brokers.mechanism == "OAUTHBEARER":
            fetched = bool(brokers.token_url)
            token = FetchedToken(brokers) if fetched else FileToken(brokers.token_file)
            secured["sasl_oauth_token_provider"] = token
        else:
            secured["sasl_plain_username"] = brokers.user
            secured["sasl_plain_password"] = brokers.password
    return secured


def _security(brokers: Brokers) -> str:
    return f"{names.SECURITY}={brokers.security}"


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
