"""nginx or HAProxy in a process of a test's own, with the configuration that the project ships."""

import contextlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import certificates
from deploy.local.ports import free_run
from deploy.local.program import wrapped
from tests.stack import end
from tests.waiting import WITHIN_S, wait_until

CONFIGURATIONS = Path(__file__).parents[2] / "deploy" / "proxy"
STOP_WITHIN_S = 10.0


@dataclass(slots=True)
class Proxy:
    """A proxy that listens. `tls` trusts its certificate."""

    process: "subprocess.Popen[bytes]"
    port: int
    tls: ssl.SSLContext
    output: Path
    reload_signal: signal.Signals

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self.port}/chat"

    def reload(self) -> None:
        """Read the configuration anew, as an operator does after a change."""
        self.process.send_signal(self.reload_signal)


@contextlib.contextmanager
def nginx(folder: Path, gateways: Sequence[int]) -> Iterator[Proxy]:
    """Run nginx before gateways on these ports."""
    port = free_run(1)
    tls, pem = certificate(folder)
    servers = "".join(
        f"        server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;\n" for each in gateways
    )
    text = _changed(
        (CONFIGURATIONS / "nginx.conf").read_text(),
        (r"(?m)(^ *server 127.*;\n)+", servers),
        (r"listen 443", f"listen 127.0.0.1:{port}"),
        (r"/etc/nginx/talklog\.(crt|key)", str(pem)),
        (r"/var/log/nginx/", f"{folder}/"),
    )
    file = folder / "nginx.conf"
    file.write_text(f"pid {folder}/pid;\ndaemon off;\nerror_log {folder}/output;\n{text}")
    command = [_program("nginx"), "-p", str(folder), "-c", str(file)]
    with _running(command, folder, port) as process:
        yield Proxy(process, port, tls, folder / "output", signal.SIGHUP)


@contextlib.contextmanager
def haproxy(folder: Path, gateways: Sequence[int]) -> Iterator[Proxy]:
    """Run HAProxy before gateways on these ports."""
    port = free_run(1)
    tls, pem = certificate(folder)
    servers = "".join(f"    server gateway-{each} 127.0.0.1:{each}\n" for each in gateways)
    text = _changed(
        (CONFIGURATIONS / "haproxy.cfg").read_text(),
        (r"(?m)(^ *server gateway-.*\n)+", servers),
        (r"bind :443", f"bind 127.0.0.1:{port}"),
        (r"maxconn 65536", "maxconn 4096"),  # as many files as a test may open
        (r"/etc/haproxy/talklog\.pem", str(pem)),
    )
    file = folder / "haproxy.cfg"
    file.write_text(text)
    command = [_program("haproxy"), "-W", "-f", str(file)]
    with _running(command, folder, port) as process:
        yield Proxy(process, port, tls, folder / "output", signal.SIGUSR2)


Start = Callable[[Path, Sequence[int]], contextlib.AbstractContextManager[Proxy]]


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert found, f"{name} is not installed: apt-get install {name}"
    return found


def _changed(text: str, *changes: tuple[str, str]) -> str:
    """Change what depends on the machine; each must be there to be changed."""
    for pattern, to in changes:
        text, count = re.subn(pattern, to.replace("\\", r"\\"), text)
        assert count, f"{pattern} is not in the configuration"
    return text


@contextlib.contextmanager
def _running(
    command: Sequence[str], folder: Path, port: int
) -> Iterator["subprocess.Popen[bytes]"]:
    output = folder / "output"
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped(command, uid=None, death_signal=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _listens(port, process), WITHIN_S, output.read_text)
        yield process
    finally:
        end(process, STOP_WITHIN_S)


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, f"it ended with {process.returncode}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1: who trusts it, and its file, with the key."""
    folder.mkdir(parents=True, exist_ok=True)
    certificates.make(folder)
    # Of those that it makes any one will do.
    return ssl.create_default_context(cafile=folder / "ca.pem"), folder / "redis.pem"
