"""The stack's settings come from short variables; every mistake is told at once."""

from pathlib import Path

import pytest

from deploy.local.settings import BadStackSettings, StackSettings, from_environment


def test_the_defaults_are_one_of_each_on_port_8000() -> None:
    settings = from_environment({})
    assert (settings.port, settings.gateways, settings.workers, settings.persisters) == (
        8000,
        1,
        1,
        1,
    )
    assert (settings.brokers, settings.shards, settings.restart) == (1, 8, True)
    assert settings.state == Path(".local")
    assert settings.kafka is None


def test_variables_are_read_and_empty_ones_are_not_given() -> None:
    settings = from_environment(
        {"PORT": "9000", "RESTART": "0", "WORKERS": "", "TALKLOG_KAFKA": "b:1", "HOME": "/root"}
    )
    assert (settings.port, settings.restart, settings.workers) == (9000, False, 1)
    assert settings.kafka == "b:1"


def test_every_mistake_is_named_with_its_variable() -> None:
    with pytest.raises(BadStackSettings) as caught:
        from_environment({"PORT": "abc", "WORKERS": "0", "SHARDS": "-1"})
    lines = str(caught.value).splitlines()
    assert [line.split("=")[0] for line in lines] == ["PORT", "WORKERS", "SHARDS"]


@pytest.mark.parametrize("brokers", ["2", "4"])
def test_brokers_are_one_or_three(brokers: str) -> None:
    with pytest.raises(BadStackSettings, match="BROKERS must be 1 or 3"):
        from_environment({"BROKERS": brokers})


def test_gateways_past_the_last_port_are_refused() -> None:
    with pytest.raises(BadStackSettings, match="past 65535"):
        from_environment({"PORT": "65535", "GATEWAYS": "2"})


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("TALKLOG_KAFKA", "b:1", "servers of the stack's own, without TALKLOG_KAFKA"),
        ("TALKLOG_POSTGRES_DSN", "postgresql://p", "without TALKLOG_POSTGRES_DSN"),
        ("OPENAI_BASE_URL", "https://m/v1", "only at an http:// address"),
    ],
)
def test_links_need_servers_that_a_proxy_can_stand_before(
    name: str, value: str, mistake: str
) -> None:
    assert from_environment({name: value}).links is False
    with pytest.raises(BadStackSettings, match=mistake):
        from_environment({"LINKS": "1", name: value})


def test_a_test_builds_settings_by_field_names() -> None:
    assert StackSettings(port=0, state=Path("/x")).port == 0


def test_an_address_with_a_password_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://user:secret@far/x\n")
    found = from_environment({"TALKLOG_POSTGRES_DSN_FILE": str(tmp_path / "dsn")})
    assert found.postgres == "postgresql://user:secret@far/x"
    with pytest.raises(BadStackSettings, match="TALKLOG_REDIS_URL_FILE='/nowhere'"):
        from_environment({"TALKLOG_REDIS_URL_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"TALKLOG_KAFKA": "b:1"}, "SECURE=1 needs servers of the stack's own"),
        ({"LINKS": "1"}, "SECURE=1 encrypts it"),
        ({"TALKLOG_KAFKA_USER": "me"}, "TALKLOG_KAFKA_USER: for brokers that TALKLOG_KAFKA names"),
    ],
)
def test_a_secure_stack_has_servers_of_its_own(given: dict[str, str], mistake: str) -> None:
    assert from_environment({"SECURE": "1"}).secure is True
    with pytest.raises(BadStackSettings, match=mistake):
        from_environment({"SECURE": "1"} | given)


def test_the_way_into_given_brokers_is_checked_with_them() -> None:
    with pytest.raises(BadStackSettings, match="TALKLOG_KAFKA_SASL_MECHANISM"):
        from_environment({"TALKLOG_KAFKA": "b:1", "TALKLOG_KAFKA_SECURITY": "sasl_ssl"})
