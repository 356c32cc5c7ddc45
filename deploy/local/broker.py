"""Apache Kafka in KRaft mode: one node, or three, each broker and controller at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from deploy.local.certificates import write_secret
from deploy.local.probe import listens
from deploy.local.program import Program, StartFailed, environment_of_servers, wrapped
from deploy.local.secured import BROKER, MECHANISM, Secured

FORMAT_S = 60.0
HEAP = "-Xmx512m"
READY_WITHIN_S = 180.0
"""A JVM on a machine that is busy: one that is killed in its start begins from nothing."""
CONFIG = "broker.properties"
FORMATTED = "formatted"


@dataclass(frozen=True, slots=True)
class TierListener:
    """A port for one tier's clients, who are told that it is `advertised_port`.

    The other brokers are a tier too, `kafka`.

    A client goes to the address that a broker advertises; so what lies between the two can only
    be put there by the broker.
    """

    tier: str
    port: int
    advertised_port: int


@dataclass(frozen=True, slots=True)
class Node:
    """One broker: its number (from 1) and its two ports, and those for single tiers."""

    number: int
    port: int
    controller_port: int
    tiers: tuple[TierListener, ...] = ()


def properties(
    node: Node, nodes: Sequence[Node], data: Path, secured: Secured | None = None
) -> str:
    """The node's configuration file. Three nodes keep three copies and need two to agree."""
    replication = min(3, len(nodes))
    alone = len(nodes) == 1
    names = [(tier.tier.upper(), tier) for tier in node.tiers]
    template = files("deploy").joinpath("kafka/broker.properties.template").read_text()
    return Template(template + _secured_properties(secured)).substitute(
        broker_protocol="SASL_SSL" if secured else "PLAINTEXT",
        controller_protocol="SSL" if secured else "PLAINTEXT",
        node_id=node.number,
        voters=",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in nodes),
        port=node.port,
        controller_port=node.controller_port,
        data=data,
        replication=replication,
        min_insync=2 if replication == 3 else 1,
        # Nobody takes over from the only node: it need not say so often that it lives.
        heartbeat_ms=1000 if alone else 500,
        sign_of_life_ms=5000 if alone else 500,
        tier_listeners="".join(f",{name}://127.0.0.1:{tier.port}" for name, tier in names),
        tier_advertised="".join(
            f",{name}://127.0.0.1:{tier.advertised_port}" for name, tier in names
        ),
        inter_broker="KAFKA" if any(name == "KAFKA" for name, _ in names) else "BROKER",
        tier_protocols="".join(f",{name}:PLAINTEXT" for name, _ in names),
    )


def _secured_properties(secured: Secured | None) -> str:
    if secured is None:
        return ""
    template = files("deploy").joinpath("kafka/secured.properties.template").read_text()
    return Template(template).substitute(
        certificate=secured.certificate("kafka"),
        ca=secured.ca,
        mechanisms=MECHANISM,
        user=BROKER,
        password=secured.password(BROKER),
    )


def addresses(nodes: Sequence[Node]) -> str:
    """What a client connects to."""
    return ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def java() -> str:
    """The java to run: JAVA_HOME's, else the one in PATH.

    Raises:
        StartFailed: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise StartFailed("kafka: there is no java: install Java 17 or newer (`make doctor`)")
    return found


def program(
    node: Node,
    nodes: Sequence[Node],
    folder: Path,
    *,
    jars: Path,
    cluster_id: str,
    secured: Secured | None = None,
) -> Program:
    """How to run `node` with its data in `folder`."""
    folder = folder.resolve()
    data, config = folder / "data", folder / CONFIG
    logging = files("deploy").joinpath("kafka/log4j2.properties")
    options = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=4",
        # Written 20 times a second, for tools that nobody runs here.
        "-XX:-UsePerfData",
        f"-Dlog4j2.configurationFile={logging}",
        "-Djava.awt.headless=true",
        "-cp",
        f"{jars.resolve()}/*",
    ]

    async def prepare() -> None:
        if not _write_config(folder, properties(node, nodes, data, secured)):
            users = [f"@{secured.scram_arguments()}"] if secured else []
            await _format([java(), "-Xmx128m", *options], config, cluster_id, users)
            _mark_formatted(folder)

    async def ready() -> bool:
        return await listens(node.port)

    return Program(
        name="kafka" if len(nodes) == 1 else f"kafka-{node.number}",
        kind="kafka",
        argv=[java(), HEAP, *options, "kafka.Kafka", str(config)],
        environment=environment_of_servers(),
        ready=ready,
        address=f"127.0.0.1:{node.port}",
        prepare=prepare,
        ready_within_s=READY_WITHIN_S,
    )


def _write_config(folder: Path, content: str) -> bool:
    """Write the configuration; whether the storage is formatted already."""
    folder.mkdir(parents=True, exist_ok=True)
    write_secret(folder / CONFIG, content.encode())
    if (folder / FORMATTED).exists():
        return True
    # The mark is missing: whatever lies there is a format that was cut off.
    shutil.rmtree(folder / "data", ignore_errors=True)
    return False


def _mark_formatted(folder: Path) -> None:
    (folder / FORMATTED).touch()


async def _format(
    java_command: Sequence[str], config: Path, cluster_id: str, users: Sequence[str]
) -> None:
    # In one word: one id in 64 begins with a dash and would pass for an option.
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(config)]
    process = await asyncio.create_subprocess_exec(
        *wrapped([*java_command, *tool, *users], uid=None, death_signal=signal.SIGKILL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), FORMAT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()[-4:]
        raise StartFailed("kafka: formatting its storage failed: " + " | ".join(lines))
