"""deploy/Dockerfile: linted, built, weighed, and run as a person runs it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deployed.compose_file import DOCKERFILE, image_environment
from tests.deployed.container import USER, Containers, build, buildah, mounted
from tests.deployed.installation import installed
from tests.deployed.story import lives_and_ends
from tests.deployed.tools import HADOLINT
from tests.scripted_model.control import scripted_model
from tests.stack import RunningStack

CHROOT = "/usr/sbin/chroot"
MOST_BYTES = 250 * 1000 * 1000
NOT_IN_IT = ("gcc", "cc", "ld", "as", "make", "pip", "pip3", "git", "curl")


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """The image's files."""
    build()
    container, folder = mounted()
    yield folder
    buildah("umount", container)
    buildah("rm", container)


@pytest.fixture
def containers(root: Path, tmp_path: Path) -> Iterator[Containers]:
    made = Containers(root, tmp_path)
    yield made
    made.end()


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def files_of(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def test_it_is_small(root: Path, tell: Callable[[str], None]) -> None:
    size = sum(path.stat().st_size for path in files_of(root))
    tell(f"{size / 1e6:.0f} MB")
    assert size < MOST_BYTES


def test_the_command_is_there_for_who_looks_into_a_container(root: Path) -> None:
    words = [
        CHROOT,
        f"--userspec={USER}:{USER}",
        str(root),
        "/opt/talklog/bin/talklog",
        "settings",
    ]
    done = subprocess.run(
        words, env=image_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "TALKLOG_UNKNOWN_NAMES" in done.stdout


def test_nothing_in_it_compiles_or_installs(root: Path) -> None:
    folders = [root / place for place in ("usr/bin", "usr/local/bin", "opt/talklog/bin")]
    found = [folder / name for folder in folders for name in NOT_IN_IT if (folder / name).exists()]
    assert found == []
    assert list((root / "opt/talklog/lib").rglob("pip")) == []


def test_nothing_of_it_is_its_users_to_change(root: Path) -> None:
    ours = [path for path in (root / "opt/talklog").rglob("*") if not path.is_symlink()]
    assert len(ours) > 1000
    for path in ours:
        status = path.stat()
        assert status.st_uid != USER
        assert not status.st_mode & 0o022, path


def test_it_runs_as_nobody_and_can_write_only_what_is_thrown_away(
    containers: Containers, tmp_path: Path
) -> None:
    probe = "\n".join(
        (
            "import os, pathlib",
            f"assert os.getuid() == os.getgid() == {USER}",
            "for place in ('/', '/opt/talklog/app', '/run/secrets', '/usr/bin', '/etc'):",
            "    try: pathlib.Path(place, 'x').touch()",
            "    except OSError: continue",
            "    raise SystemExit(place)",
            "pathlib.Path('/tmp/x').touch()",
            "status = pathlib.Path('/proc/self/status').read_text()",
            "assert 'CapEff:\\t0000000000000000' in status",
            "assert 'NoNewPrivs:\\t1' in status",
        )
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "probe.py").write_text(probe)
    told = {"PYTHONPATH": "/run/secrets", "PATH": "/usr/bin"}
    line, environment = containers("probe", ["probe"], told, tmp_path / "secrets")
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_its_containers_are_an_installation(
    servers: RunningStack, containers: Containers, tmp_path: Path
) -> None:
    with scripted_model("tokens=20") as model:
        async with installed(servers, tmp_path, model.url, containers) as installation:
            await lives_and_ends(installation, "image-1")
