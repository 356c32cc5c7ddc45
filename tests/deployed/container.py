"""The image: built by buildah, run by crun; neither needs an engine that runs already.

The base is a Debian that is made here, as slim as the one that the Dockerfile names. Containers
share the network of this machine, where the servers are; all else is as the compose file says: uid
10001, nothing to write but /tmp, no rights, no way to more.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deployed.tools import ROOT, TOOLS

BASE, IMAGE = "localhost/talklog-base", "localhost/talklog"
USER = 10001
NAMESPACES = ("mount", "pid", "ipc", "uts")
WITHOUT_CGROUPS = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
"""crun refuses a machine with both kinds of cgroups, even where it shall use none."""
CA = Path("/etc/ssl/certs/ca-certificates.crt")
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
# As in the slim images: nobody reads a manual in a container.
LEFT_OUT = ("man", "doc", "locale", "info", "lintian")


def buildah(*arguments: str, within_s: float = 600.0) -> str:
    """Run buildah with storage of its own; give what it prints."""
    store = [f"--root={TOOLS / 'storage'}", f"--runroot={TOOLS / 'storage-run'}"]
    done = subprocess.run(
        ["buildah", *store, "--storage-driver=vfs", *arguments],
        env=os.environ | {"BUILDAH_ISOLATION": "chroot"},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout.strip()


def make_base() -> None:
    """Make the base image, if it is not there."""
    if BASE in buildah("images", "--format", "{{.Name}}"):
        return
    tree = TOOLS / "base.tar"
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
    # As the slim images have it: else a package that merges /usr brings all of Perl.
    options += [f"--hook-dir={MERGED_USR}", "--include=usr-is-merged"]
    sources = sorted(Path("/etc/apt").glob("sources.list*/*.sources"))
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", *options, "bookworm", tree, *sources[:1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    container = buildah("from", "scratch")
    buildah("add", container, str(tree), "/")
    buildah("commit", container, BASE)
    buildah("rm", container)
    tree.unlink()


def build() -> None:
    """Build the image from the Dockerfile, on the base that was made here."""
    buildah("rm", "--all")  # of a run that was cut
    make_base()
    # What this machine trusts, for the indexes that it reaches; nothing of it stays in the image.
    settings = TOOLS / "pip.conf"
    settings.write_text("[global]\ncert = /run/ca.crt\ndisable-pip-version-check = true\n")
    trusted = [f"--volume={CA}:/run/ca.crt:ro", f"--volume={settings}:/etc/pip.conf:ro"]
    arguments = [f"--build-arg=BASE={BASE}", "--file=deploy/Dockerfile", f"--tag={IMAGE}"]
    buildah("bud", *(trusted if CA.exists() else []), *arguments, str(ROOT))
    buildah("rmi", "--prune")


def mounted() -> tuple[str, Path]:
    """Give a container of the image, and the folder where its files are."""
    container = buildah("from", "--pull-never", IMAGE)
    return container, Path(buildah("mount", container))


class Containers:
    """Makes containers of the image's files, each with a folder of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._made: list[str] = []

    def __call__(
        self, name: str, command: list[str], environment: Mapping[str, str], secrets: Path
    ) -> tuple[list[str], Mapping[str, str]]:
        """Give the command line that runs `python -m COMMAND` in a container."""
        bundle = self._folder / f"bundle-{name}"
        bundle.mkdir(exist_ok=True)
        config = self._config(command, environment, secrets)
        (bundle / "config.json").write_text(json.dumps(config))
        identity = f"talklog-{os.getpid()}-{name}"
        self._made.append(identity)
        line = [*self._crun(), "run", f"--bundle={bundle}", identity]
        return line, {"PATH": os.environ["PATH"]}

    def end(self) -> None:
        """Leave none behind."""
        for identity in self._made:
            line = [*self._crun(), "delete", "--force", identity]
            subprocess.run(line, capture_output=True, check=False)

    def _crun(self) -> list[str]:
        crun = ["crun", f"--root={self._folder / 'crun'}", "--cgroup-manager=disabled"]
        return ["unshare", "--mount", "--", "sh", "-c", WITHOUT_CGROUPS, "sh", *crun]

    def _config(
        self, command: list[str], environment: Mapping[str, str], secrets: Path
    ) -> dict[str, Any]:
        no_rights: dict[str, list[str]] = {
            kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": USER, "gid": USER},
                "args": ["/opt/talklog/bin/python", "-m", *command],
                "env": [f"{name}={value}" for name, value in environment.items()],
                "cwd": "/tmp",
                "capabilities": no_rights,
                "noNewPrivileges": True,
            },
            "root": {"path": str(self._root), "readonly": True},
            "mounts": [
                _mount("/proc", "proc", "proc"),
                _mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=64k"),
                _mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", "size=64m"),
                _mount("/run", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755", "size=64k"),
                _mount("/run/secrets", "none", str(secrets), "bind", "ro"),
            ],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        }


def _mount(place: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": source, "options": list(options)}
