"""Faust makes clients of its own: they get the very arguments that ours get."""

from collections.abc import Mapping

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.brokers import Brokers
from schemas.log.kafka_client import arguments
from workers.faust_group import _credentials


@pytest.mark.parametrize(
    "brokers",
    [
        Brokers("k:1"),
        Brokers("k:1", "ssl"),
        Brokers("k:1", "sasl_plaintext", "PLAIN", "u", "p"),
        Brokers("k:1", "sasl_ssl", "SCRAM-SHA-256", "u", "p"),
        Brokers("k:1", "sasl_ssl", "SCRAM-SHA-512", "u", "p"),
        Brokers("k:1", "sasl_plaintext", "OAUTHBEARER", token_file="t"),
        Brokers("k:1", "sasl_ssl", "OAUTHBEARER", "u", "p", token_url="https://id/token"),
    ],
    ids=lambda brokers: f"{brokers.security} {brokers.mechanism}",
)
def test_what_faust_makes_of_it_is_what_we_make(brokers: Brokers) -> None:
    def plain(made: Mapping[str, object]) -> dict[str, object]:
        # A context and a provider are made anew each time.
        own = {"ssl_context", "sasl_oauth_token_provider"}
        return {name: type(value) if name in own else value for name, value in made.items()}

    ours = plain(arguments(brokers))
    del ours["bootstrap_servers"]
    theirs = plain(credentials_to_aiokafka_auth(_credentials(brokers), None))
    given = {name: value for name, value in theirs.items() if value is not type(None)}
    assert given == ({"security_protocol": "PLAINTEXT"} | ours)
