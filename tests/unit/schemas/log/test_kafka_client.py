"""Clients of Kafka are made in one place, with all that the settings say."""

import ast
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

import schemas
from schemas.brokers import Brokers
from schemas.log.kafka_client import BrokersRefuse, arguments, refusal
from schemas.log.kafka_token import FileToken
from schemas.process.tls import Unreadable

ROOT = Path(schemas.__file__).parent.parent
HOME = Path("schemas/log/kafka_client.py")
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient"}
SCRAM = Brokers("k:9092", security="sasl_plaintext", mechanism="PLAIN", user="u", password="p")


def calls(file: Path) -> Iterator[ast.Call | ast.ClassDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call | ast.ClassDef):
            yield node


def names_of(node: ast.Call | ast.ClassDef) -> set[str]:
    asked = [node.func] if isinstance(node, ast.Call) else node.bases
    return {
        each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in asked
    }


def sources() -> Iterator[Path]:
    for room in ("gateway", "workers", "persister", "schemas", "deploy"):
        yield from (file.relative_to(ROOT) for file in (ROOT / room).rglob("*.py"))


def test_every_client_in_the_tree_is_made_in_its_home() -> None:
    made = {
        file: found
        for file in sources()
        if (found := CLIENTS & set().union(*map(names_of, calls(ROOT / file))))
    }
    assert set(made) == {HOME}, "make clients by schemas.log.kafka_client"


def test_no_client_is_given_the_addresses_alone() -> None:
    # `settings.kafka` is a text and would pass for brokers that ask for nothing.
    bare = [
        (file, line)
        for file in sources()
        if not file.is_relative_to("deploy/local")
        for line in (ROOT / file).read_text().splitlines()
        if re.search(r"(?<!TALKLOG_KAFKA=\{)(?<!kafka=)settings\.kafka\b", line)
    ]
    assert bare == [], "settings.brokers() has the way in"


def test_faust_makes_its_clients_of_the_same_arguments() -> None:
    [app] = [node for file in sources() for node in calls(ROOT / file) if "App" in names_of(node)]
    assert isinstance(app, ast.Call)
    assert "broker_credentials" in {keyword.arg for keyword in app.keywords}


def test_brokers_that_ask_for_nothing_get_nothing() -> None:
    assert arguments("a:1,b:2") == {"bootstrap_servers": ["a:1", "b:2"]}


def test_a_password_goes_along() -> None:
    assert arguments(SCRAM) == {
        "bootstrap_servers": ["k:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_over_tls_a_host_is_held_to_its_certificate() -> None:
    context = arguments(Brokers("k:9092", security="ssl"))["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_that_has_gone_meanwhile_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokersRefuse, match=r"TALKLOG_KAFKA_CA='/nowhere': No such file"):
        arguments(Brokers("k:9092", security="ssl", ca="/nowhere"))


async def test_a_token_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = FileToken(str(file))
    with pytest.raises(Unreadable, match="TALKLOG_KAFKA_TOKEN_FILE"):
        await token.token()
    for text in ("one", "two"):
        file.write_text(text + "\n")
        assert await token.token() == text
    file.write_text("\n")
    with pytest.raises(Unreadable, match="holds no token"):
        await token.token()


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (SaslAuthenticationFailed("no"), "TALKLOG_KAFKA_USER='u'"),
        (ssl.SSLCertVerificationError(1, "self-signed"), "TALKLOG_KAFKA_CA=''"),
        (ssl.SSLError(1, "wrong version number"), "TALKLOG_KAFKA_SECURITY=sasl_plaintext"),
        (KafkaConnectionError("closed"), "TALKLOG_KAFKA_SECURITY=sasl_plaintext"),
        (ConnectionResetError(), "TALKLOG_KAFKA_SECURITY=sasl_plaintext"),
    ],
)
def test_what_brokers_refuse_is_told_by_the_setting(error: Exception, named: str) -> None:
    told = refusal(SCRAM, error)
    assert told is not None
    assert told.startswith(named)


def test_brokers_that_are_not_there_refuse_nothing() -> None:
    assert refusal(SCRAM, ConnectionRefusedError()) is None
    assert refusal(SCRAM, TimeoutError()) is None
