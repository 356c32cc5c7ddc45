"""The way to the brokers: what can't be right together is told by the settings' names."""

import pytest

from schemas.brokers import Brokers, brokers_at, contradictions

SCRAM = {"mechanism": "SCRAM-SHA-512", "user": "gateway", "password": "p"}

OAUTH = {"mechanism": "OAUTHBEARER", "token_url": "https://id/token"}

GOOD: list[dict[str, str]] = [
    {},
    {"security": "ssl"},
    {"security": "ssl", "ca": "ca.pem", "certificate": "c.pem", "key": "k.pem"},
    {"security": "ssl", "certificate": "both.pem"},
    {"security": "sasl_plaintext", **SCRAM},
    {"security": "sasl_ssl", "ca": "ca.pem", **SCRAM},
    {"security": "sasl_ssl", "certificate": "c.pem", "key": "k.pem", **SCRAM},
    {"security": "sasl_ssl", "mechanism": "OAUTHBEARER", "token_file": "t"},
    {"security": "sasl_ssl", **OAUTH, "user": "u", "password": "p", "token_scope": "kafka"},
]

BAD: list[tuple[dict[str, str], list[str]]] = [
    ({"security": "tls"}, ["TALKLOG_KAFKA_SECURITY"]),
    ({"security": "sasl_ssl", "mechanism": "scram"}, ["TALKLOG_KAFKA_SASL_MECHANISM"]),
    ({"security": "sasl_ssl"}, ["TALKLOG_KAFKA_SASL_MECHANISM"]),
    ({"ca": "ca.pem"}, ["TALKLOG_KAFKA_CA"]),
    ({"security": "sasl_plaintext", "ca": "ca.pem", **SCRAM}, ["TALKLOG_KAFKA_CA"]),
    ({"security": "ssl", "key": "k.pem"}, ["TALKLOG_KAFKA_KEY"]),
    ({"security": "ssl", "user": "gateway"}, ["TALKLOG_KAFKA_USER"]),
    (
        {"security": "ssl", **SCRAM},
        ["TALKLOG_KAFKA_SASL_MECHANISM", "TALKLOG_KAFKA_USER", "TALKLOG_KAFKA_PASSWORD"],
    ),
    (
        {"security": "sasl_ssl", "mechanism": "PLAIN"},
        ["TALKLOG_KAFKA_USER", "TALKLOG_KAFKA_PASSWORD"],
    ),
    (
        {"security": "sasl_ssl", "mechanism": "OAUTHBEARER", "user": "u"},
        ["TALKLOG_KAFKA_TOKEN_FILE", "TALKLOG_KAFKA_USER"],
    ),
    (
        {"security": "sasl_ssl", **OAUTH, "token_file": "t", "user": "u"},
        ["TALKLOG_KAFKA_PASSWORD", "TALKLOG_KAFKA_TOKEN_FILE"],
    ),
    (
        {"security": "sasl_ssl", **OAUTH, **SCRAM, "mechanism": "OAUTHBEARER", "token_url": "x"},
        ["TALKLOG_KAFKA_TOKEN_URL"],
    ),
    ({"security": "sasl_ssl", "token_file": "t", **SCRAM}, ["TALKLOG_KAFKA_TOKEN_FILE"]),
]


@pytest.mark.parametrize("parts", GOOD)
def test_what_fits_together(parts: dict[str, str]) -> None:
    assert contradictions(Brokers("kafka:9092", **parts)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("parts", "named"), BAD)
def test_what_does_not_is_told_by_name(parts: dict[str, str], named: list[str]) -> None:
    told = contradictions(Brokers("kafka:9092", **parts))  # type: ignore[arg-type]
    assert [line.split(":")[0].split("=")[0] for line in told] == named


def test_no_password_is_ever_shown() -> None:
    brokers = Brokers("kafka:9092", security="ssl", password="hush")
    assert "hush" not in repr(brokers) + str(brokers) + "".join(contradictions(brokers))


def test_a_plain_address_stands_for_brokers_that_ask_for_nothing() -> None:
    assert brokers_at("kafka:9092") == Brokers("kafka:9092")
    assert str(brokers_at(Brokers("a:1,b:2", security="ssl"))) == "a:1,b:2"
