"""deploy/compose.yaml: by the rules of those who read it, and by starting what it starts."""

import subprocess
from pathlib import Path

import yaml

from tests.deployed.compose_file import compose
from tests.deployed.installation import here, installed
from tests.deployed.story import lives_and_ends
from tests.deployed.tools import PYTHON
from tests.scripted_model.control import scripted_model
from tests.stack import RunningStack

MODEL = {"OPENAI_BASE_URL": "http://model/v1"}
READ = """
import sys, yaml
from compose_spec import PyCompose
from compose_spec.models import ComposeSpecification
text = sys.stdin.read()
ComposeSpecification.model_validate(yaml.safe_load(text))
PyCompose.from_yaml(text).validate()
"""


def faults(content: object) -> str:
    """What the format's own reader has against it; empty if nothing."""
    done = subprocess.run(
        [PYTHON, "-c", READ],
        input=yaml.safe_dump(content),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_it_is_a_compose_file() -> None:
    assert faults(compose(MODEL)) == ""


def test_what_the_format_does_not_know_would_be_noticed() -> None:
    content = compose(MODEL)
    content["services"]["gateway"]["reed_only"] = True
    assert "reed_only" in faults(content)


async def test_what_it_starts_is_an_installation(servers: RunningStack, tmp_path: Path) -> None:
    with scripted_model("tokens=20") as model:
        async with installed(servers, tmp_path, model.url, here) as installation:
            await lives_and_ends(installation, "compose-1")
