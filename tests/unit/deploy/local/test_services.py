"""What a service of the local stack is told by its environment."""

from dataclasses import replace

import pytest

from deploy.local.program import Kind
from deploy.local.services import Addresses, program, variables

ADDRESSES = Addresses(
    kafka="k:1",
    redis="redis://r",
    postgres="postgresql://p",
    model="http://m/v1",
    model_name=None,
    epoch=7,
    shards=8,
)


def test_it_finds_every_server() -> None:
    given = variables({"PATH": "/bin", "TALKLOG_EPOCH": "1"}, ADDRESSES, 9100)
    assert given["PATH"] == "/bin"
    assert given["TALKLOG_KAFKA"] == "k:1"
    assert given["TALKLOG_EPOCH"] == "7"
    assert given["TALKLOG_ADMIN_PORT"] == "9100"
    assert given["OPENAI_BASE_URL"] == "http://m/v1"


def test_the_grace_time_is_short_unless_given() -> None:
    assert variables({}, ADDRESSES, 1)["TALKLOG_GRACE_S"] == "5"
    assert variables({"TALKLOG_GRACE_S": "9"}, ADDRESSES, 1)["TALKLOG_GRACE_S"] == "9"


def test_a_key_for_another_model_is_not_shown_to_the_local_one() -> None:
    local = replace(ADDRESSES, model_name="small")
    given = variables({"OPENAI_API_KEY": "secret", "OPENAI_MODEL": "big"}, local, 1)
    assert (given["OPENAI_API_KEY"], given["OPENAI_MODEL"]) == ("local", "small")


def test_a_given_model_keeps_its_key_and_name() -> None:
    given = variables({"OPENAI_API_KEY": "secret", "OPENAI_MODEL": "big"}, ADDRESSES, 1)
    assert (given["OPENAI_API_KEY"], given["OPENAI_MODEL"]) == ("secret", "big")


def test_a_fallback_is_told_to_workers_beside_the_local_model_too() -> None:
    fallback = {
        "TALKLOG_FALLBACK_BASE_URL": "http://other/v1",
        "TALKLOG_FALLBACK_API_KEY": "secret",
        "TALKLOG_FALLBACK_MODEL": "big",
    }
    for addresses in (ADDRESSES, replace(ADDRESSES, model_name="small")):
        assert variables(fallback, addresses, 1).items() >= fallback.items()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("gateway", {"TALKLOG_JWT_SECRET", "TALKLOG_HOOK_SECRET_FILE"}),
        ("worker", {"OPENAI_API_KEY", "TALKLOG_FALLBACK_API_KEY_FILE"}),
        ("persister", set()),
    ],
)
def test_a_secret_is_told_only_to_those_who_need_it(kind: Kind, told: set[str]) -> None:
    names = (
        "TALKLOG_JWT_SECRET",
        "TALKLOG_HOOK_SECRET_FILE",
        "OPENAI_API_KEY",
        "TALKLOG_FALLBACK_API_KEY_FILE",
    )
    given = {"PATH": "/bin"} | dict.fromkeys(names, "secret")
    made = program(kind, 1, environment=given, admin_port=1).environment
    assert {name for name, value in made.items() if value == "secret"} == told


def test_an_address_that_was_in_a_file_is_told_once() -> None:
    files = {"TALKLOG_POSTGRES_DSN_FILE": "/a", "TALKLOG_REDIS_URL_FILE": "/b"}
    made = variables(files, ADDRESSES, 1)
    assert made["TALKLOG_POSTGRES_DSN"] == "postgresql://p"
    assert not files.keys() & made.keys()


def test_a_way_into_given_brokers_is_told_to_all_and_the_stacks_own_replaces_it() -> None:
    given = {"TALKLOG_KAFKA_USER": "me", "TALKLOG_KAFKA_PASSWORD_FILE": "/mine"}
    assert variables(given, ADDRESSES, 1).items() >= given.items()
    own = {"TALKLOG_KAFKA_SECURITY": "ssl", "TALKLOG_KAFKA_CA": "/ca"}
    made = variables(given, replace(ADDRESSES, kafka_way_in=own), 1)
    assert made.items() >= own.items()
    assert not given.keys() & made.keys()
