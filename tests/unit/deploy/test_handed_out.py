"""What is handed out to run elsewhere says nothing that the code does not know."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.process.settings import NAMES
from schemas.process.stopping import STOP_MARGIN_S
from tests.deployed.compose_file import JOBS, compose, image_environment, services

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "talklog"
LOCK = ROOT / "deploy" / "requirements-image.txt"
MODEL = {"OPENAI_BASE_URL": "http://model/v1"}
SETTING = re.compile(r"\bTALKLOG_[A-Z0-9_]*[A-Z0-9]\b")
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)


def handed_out() -> Iterator[Path]:
    yield ROOT / "deploy" / "compose.yaml"
    yield ROOT / "deploy" / "compose-three.env"
    yield ROOT / "deploy" / "Dockerfile"
    yield from sorted(path for path in CHART.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", list(handed_out()), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_is_a_setting_that_exists(path: Path) -> None:
    assert set(SETTING.findall(path.read_text())) - NAMES == set()


def test_a_process_is_killed_later_than_it_ends_by_itself() -> None:
    for service in services(MODEL).values():
        if "TALKLOG_GRACE_S" in service.environment:
            told = service.environment
            grace_s = float(told["TALKLOG_GRACE_S"]) + float(told.get("TALKLOG_DRAIN_DELAY_S", 0))
            assert service.stop_within_s >= grace_s + STOP_MARGIN_S, service.name
    told_by = [
        name for name, one in services(MODEL).items() if "TALKLOG_GRACE_S" in one.environment
    ]
    assert told_by == ["gateway", "worker", "persister"]


def test_a_pod_is_killed_later_than_it_ends_by_itself() -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    found = re.search(r"add \(default 0 \.drainDelaySeconds\) \(.*\.graceSeconds\) (\d+)", helpers)
    assert found is not None
    assert float(found[1]) > STOP_MARGIN_S


@pytest.mark.parametrize("size", ["small", "large", "external"])
def test_an_example_sets_only_what_the_chart_has(size: str) -> None:
    def unknown(given: Any, known: Any, place: str) -> Iterator[str]:
        # What is empty in values.yaml may hold anything.
        if isinstance(given, dict) and isinstance(known, dict) and known:
            for name, value in given.items():
                if name in known:
                    yield from unknown(value, known[name], f"{place}.{name}")
                else:
                    yield f"{place}.{name}"

    known = yaml.safe_load((CHART / "values.yaml").read_text())
    given = yaml.safe_load((CHART / f"values-{size}.yaml").read_text())
    assert list(unknown(given, known, size)) == []


def test_each_service_is_given_only_its_own_secrets_and_as_files() -> None:
    secrets = {name: set(service.secrets) for name, service in services(MODEL).items()}
    keys = {"jwt_secret", "openai_api_key"}
    assert {name: of & keys for name, of in secrets.items() if of & keys} == {
        "gateway": {"jwt_secret"},
        "worker": {"openai_api_key"},
    }
    for service in services(MODEL).values():
        files = {v.rsplit("/", 1)[1] for k, v in service.environment.items() if k.endswith("_FILE")}
        assert files == set(service.secrets), service.name


def test_our_containers_can_write_nothing_and_become_nobody() -> None:
    listed = compose(MODEL)["services"]
    for name in services(MODEL):
        service = listed[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert bool(service["healthcheck"].get("disable")) == (name in JOBS)
    assert image_environment()["TALKLOG_UNKNOWN_NAMES"] == "warn"


def test_the_image_holds_the_versions_that_were_tested() -> None:
    def of(path: Path) -> dict[str, str]:
        found = PINNED.findall(path.read_text())
        return {name.lower().replace("_", "-"): version for name, version in found}

    tested, locked = of(ROOT / "constraints.txt"), of(LOCK)
    assert len(locked) > 50
    different = {name: version for name, version in locked.items() if tested.get(name) != version}
    assert different == {}, "run `make lock-image`"
    project = (
        (ROOT / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("]\n", 1)[0]
    )
    wanted = {name.lower() for name in re.findall(r'^    "([A-Za-z0-9_-]+)', project, re.MULTILINE)}
    assert {name.replace("_", "-") for name in wanted} - set(locked) == set()


def test_every_pin_of_the_image_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", LOCK.read_text())
    pins = [block for block in blocks if "==" in block]
    assert [block for block in pins if "--hash=sha256:" not in block] == []
