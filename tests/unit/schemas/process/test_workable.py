"""What can't work is refused by its name; what an orchestrator injects is passed over."""

import pytest

from gateway.settings import GatewaySettings
from schemas.process.settings import NAMES, Settings, SettingsError, load
from schemas.process.workable import why_not
from workers.settings import WorkerSettings


def loaded(
    monkeypatch: pytest.MonkeyPatch, cls: type[Settings], **environ: str
) -> Settings | list[str]:
    """The settings, or the problems."""
    for name in NAMES | {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"}:
        monkeypatch.delenv(name, raising=False)
    for name, value in (environ := {"TALKLOG_EPOCH": "1"} | environ).items():
        monkeypatch.setenv(name, value)
    try:
        return load(cls, environ)
    except SettingsError as error:
        return error.problems


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-secret\n"),
        ("OPENAI_API_KEY", "sk secret"),
        ("OPENAI_API_KEY", "sk-sécret"),
        ("TALKLOG_FALLBACK_API_KEY", "sk-secret\r\n"),
        ("OPENAI_BASE_URL", "model.example/v1"),
        ("OPENAI_BASE_URL", "ftp://model.example/v1"),
        ("OPENAI_BASE_URL", "http:///v1"),
        ("OPENAI_BASE_URL", "http://model.example:99999/v1"),
        ("OPENAI_BASE_URL", "http://model.example/v1?key=1"),
        ("OPENAI_BASE_URL", "http://model.example/v1#x"),
        ("OPENAI_BASE_URL", "http://model.example/v1\n"),
        ("OPENAI_BASE_URL", "http://model example/v1"),
        ("OPENAI_MODEL", " big"),
        ("TALKLOG_KAFKA", "kafka://broker:9092"),
        ("TALKLOG_KAFKA", "broker"),
        ("TALKLOG_KAFKA", "broker:9092,"),
        ("TALKLOG_KAFKA", "broker:0"),
        ("TALKLOG_REDIS_URL", "localhost:6379"),
        ("TALKLOG_REDIS_URL", "http://localhost:6379"),
    ],
)
def test_a_worker_that_could_not_work_does_not_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    problems = loaded(monkeypatch, WorkerSettings, **{name: value})
    assert isinstance(problems, list)
    assert [problem for problem in problems if problem.startswith(name)] == problems
    assert "secret" not in str(problems)
    assert "sécret" not in str(problems)


@pytest.mark.parametrize("models", ["big small", "big,,small", ",big", "big,", "big, sm all"])
def test_a_list_of_models_with_blanks_is_refused(
    monkeypatch: pytest.MonkeyPatch, models: str
) -> None:
    problems = loaded(monkeypatch, GatewaySettings, TALKLOG_MODELS=models)
    assert isinstance(problems, list)
    assert [problem.split("=")[0] for problem in problems] == ["TALKLOG_MODELS"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kafka", "broker-1:9092, broker-2:9092"),
        ("kafka", "[::1]:9092"),
        ("redis_url", "rediss://user:p%20w@redis.example:6379/0"),
        ("openai_base_url", "http://127.0.0.1:11434/v1"),
        ("openai_base_url", "https://user:password@model.example/v1/"),
        ("openai_base_url", "http://[::1]:8080/v1"),
        ("fallback_base_url", ""),
        ("models", "big, small-2, org/large:free"),
        ("models", ""),
        ("system_prompt", "Two\nlines."),
        ("openai_api_key", "none"),
    ],
)
def test_what_works_is_taken(field: str, value: str) -> None:
    assert why_not(field, value) is None


INJECTED = {
    "TALKLOG_PORT": "tcp://10.0.0.7:8000",
    "TALKLOG_SERVICE_HOST": "10.0.0.7",
    "TALKLOG_SERVICE_PORT": "8000",
    "TALKLOG_SERVICE_PORT_HTTP": "8000",
    "TALKLOG_PORT_8000_TCP": "tcp://10.0.0.7:8000",
    "TALKLOG_PORT_8000_TCP_ADDR": "10.0.0.7",
    "TALKLOG_PORT_8000_TCP_PORT": "8000",
    "TALKLOG_PORT_8000_TCP_PROTO": "tcp",
    "TALKLOG_GATEWAY_PORT": "tcp://10.0.0.8:8000",
    "TALKLOG_GATEWAY_SERVICE_HOST": "10.0.0.8",
    "TALKLOG_GATEWAY_PORT_8000_TCP": "tcp://10.0.0.8:8000",
    "TALKLOG_ADMIN_PORT": "tcp://10.0.0.9:9000",
}


def test_what_an_orchestrator_injects_is_told_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Seen: a service named talklog stopped every process of its namespace.
    settings = loaded(monkeypatch, GatewaySettings, **INJECTED)
    assert isinstance(settings, GatewaySettings)
    assert (settings.port, settings.admin_port) == (8000, 0)
    told = capsys.readouterr().err
    assert [name for name in INJECTED if name not in told] == []


def test_what_only_looks_like_it_is_still_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"TALKLOG_GATEWAY_PORT": "8000", "TALKLOG_PROT": "1", "TALKLOG_SERVICE": "x"}
    problems = loaded(monkeypatch, GatewaySettings, **wrong)
    assert isinstance(problems, list)
    assert sorted(problem.split(":")[0] for problem in problems) == sorted(wrong)
