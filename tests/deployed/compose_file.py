"""deploy/compose.yaml as an engine reads it: its variables put in, and what a service is told.

The image's own environment belongs to it: what a service is told is both.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
DOCKERFILE = DEPLOY / "Dockerfile"
OURS = ("topics", "migrate", "gateway", "worker", "persister", "lag")
JOBS = ("topics", "migrate")
SECRETS = "/run/secrets"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<text>[^}]*))?\}")
_SECONDS = re.compile(r"(\d+)s")


@dataclass(frozen=True, slots=True)
class Service:
    """One of our own services: what it runs, with what, and how it is watched and stopped."""

    name: str
    command: list[str]
    """What follows `python -m`."""
    environment: dict[str, str]
    secrets: list[str]
    health: list[str]
    """What follows `python -m`; empty for a job."""
    stop_within_s: float


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Give the file with its variables put in. Raises KeyError for one that must be given."""
    content: dict[str, Any] = _put_in(yaml.safe_load(COMPOSE.read_text()), variables)
    for service in content["services"].values():
        if "deploy" in service:  # an engine knows that this is a number
            service["deploy"]["replicas"] = int(service["deploy"]["replicas"])
    return content


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """Give our own services by their names."""
    listed = compose(variables)["services"]
    return {name: _service(name, listed[name]) for name in OURS}


def image_environment() -> dict[str, str]:
    """Give the environment that the image itself sets."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    last = text.rsplit("\nFROM ", 1)[1]
    lines = [line for line in last.splitlines() if line.startswith("ENV ")]
    words = [word for line in lines for word in shlex.split(line.removeprefix("ENV "))]
    return dict(word.split("=", 1) for word in words)


def _put_in(content: Any, variables: Mapping[str, str]) -> Any:
    """Put them into every text, as engines do: after the file was read."""

    def value(found: re.Match[str]) -> str:
        if found["how"] == ":?":
            return variables[found["name"]]
        return variables.get(found["name"]) or found["text"] or ""

    if isinstance(content, dict):
        return {key: _put_in(each, variables) for key, each in content.items()}
    if isinstance(content, list):
        return [_put_in(each, variables) for each in content]
    return _VARIABLE.sub(value, content) if isinstance(content, str) else content


def _service(name: str, of: Mapping[str, Any]) -> Service:
    told = {key: str(value) for key, value in of["environment"].items()}
    test = of["healthcheck"].get("test", [])
    found = _SECONDS.fullmatch(of.get("stop_grace_period", "10s"))
    assert found is not None, f"{name}: stop_grace_period in whole seconds"
    assert test[:3] in ([], ["CMD", "python", "-m"]), test
    return Service(
        name=name,
        command=list(of["command"]),
        environment=told,
        secrets=list(of.get("secrets", [])),
        health=test[3:],
        stop_within_s=float(found[1]),
    )
