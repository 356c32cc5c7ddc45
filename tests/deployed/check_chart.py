"""deploy/helm/talklog: rendered by helm, and held to the schemas of those who read its objects."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import GatewaySettings
from persister.settings import PersisterSettings
from schemas.process.connections import Connections
from schemas.process.settings import load
from schemas.process.stopping import STOP_MARGIN_S
from tests.deployed.compose_file import DEPLOY
from tests.deployed.container import CA
from tests.deployed.tools import HELM, HERE, KUBERNETES_VALIDATE, TOOLS
from workers.settings import WorkerSettings

CHART = DEPLOY / "helm" / "talklog"
SIZES = ("small", "large", "external")
OF_OTHERS = ("ScaledObject", "ServiceMonitor")
READ_BY: dict[str, type[Connections]] = {
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "persister": PersisterSettings,
    "lag": Connections,
    "topics": Connections,
    "migrate": Connections,
}
MOUNTED = "/run/secrets/talklog"
AUTHORITY = "/etc/talklog/authorities/kafka.pem"
SECRETS = {"redis-url": "rediss://user:secret@redis/0", "jwt-secret": "x" * 48}
KUBERNETES = "1.37"

EVERYTHING = [
    "image.pullSecrets[0].name=registry",
    "podAnnotations.owner=chat",
    "podLabels.team=chat",
    "nodeSelector.disk=fast",
    "tolerations[0].key=chat",
    "tolerations[0].operator=Exists",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution=null",
    "priorityClassName=high",
    "serviceAccountName=chat",
    "extraEnv[0].name=TALKLOG_LOG_LEVEL",
    "extraEnv[0].value=debug",
    "envFrom[0].secretRef.name=more",
    "extraVolumes[0].name=more",
    "extraVolumes[0].secret.secretName=more",
    "extraVolumeMounts[0].name=more",
    "extraVolumeMounts[0].mountPath=/more",
    "gateway.service.annotations.kind=internal",
    "gateway.ingress.enabled=true",
    "gateway.ingress.host=chat.example",
    "gateway.ingress.className=nginx",
    "gateway.ingress.tlsSecret=chat",
    "gateway.ingress.annotations.owner=chat",
    "networkPolicy.servers[0].to[0].ipBlock.cidr=10.0.0.0/8",
    "networkPolicy.models[0].ports[0].port=443",
    "networkPolicy.identities[0].ports[0].port=443",
]
"""What a team may add, all at once."""

Object = dict[str, Any]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(HELM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(size: str, *options: str) -> list[Object]:
    """Give the objects that the chart makes of an example's values."""
    values = ["--values", str(CHART / f"values-{size}.yaml")]
    done = helm("template", "talklog", str(CHART), "--namespace", "chat", *values, *options)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def refused(size: str, *options: str) -> str:
    """Give the words with which the chart refuses to be rendered."""
    values = ["--values", str(CHART / f"values-{size}.yaml")]
    done = helm("template", "talklog", str(CHART), *values, *options)
    assert done.returncode != 0
    return done.stderr


def pods(objects: list[Object]) -> dict[str, Object]:
    """Give the pods' specs by the component that they are."""
    made = [each for each in objects if each["kind"] in ("Deployment", "Job")]
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]["spec"]
        for each in made
    }


def told(pod: Object) -> dict[str, str]:
    """Give the environment of a pod's container."""
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


@pytest.mark.parametrize("size", SIZES)
def test_lint_has_nothing_to_say(size: str) -> None:
    done = helm("lint", str(CHART), "--strict", "--values", str(CHART / f"values-{size}.yaml"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("size", "options"), [*((size, []) for size in SIZES), ("large", EVERYTHING)]
)
def test_its_objects_are_what_kubernetes_reads(
    size: str, options: list[str], tmp_path: Path
) -> None:
    set_ = [word for option in options for word in ("--set", option)]
    objects = [each for each in rendered(size, *set_) if each["kind"] not in OF_OTHERS]
    assert len(objects) > 10
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    done = subprocess.run(
        [KUBERNETES_VALIDATE, "--kubernetes-version", KUBERNETES, "--strict", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def of_others(objects: list[Object]) -> str:
    """What the schemas of KEDA and the Prometheus operator have against their objects."""
    done = subprocess.run(
        ["node", HERE / "models.mjs", TOOLS],
        input=json.dumps([each for each in objects if each["kind"] in OF_OTHERS]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_scales_and_measures_it_is_what_its_makers_read() -> None:
    objects = rendered("large")
    kinds = [each["kind"] for each in objects if each["kind"] in OF_OTHERS]
    assert sorted(kinds) == ["ScaledObject", "ScaledObject", "ServiceMonitor"]
    assert of_others(objects) == ""
    for each in objects:
        if each["kind"] == "ScaledObject":
            del each["spec"]["triggers"]
    assert of_others(objects).count("triggers") == 2, "a fault would be noticed"


@pytest.mark.parametrize("size", SIZES)
def test_each_process_takes_what_it_is_told(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pods(rendered(size))
    for name in [name for name in os.environ if name.startswith(("TALKLOG_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for tier, settings in READ_BY.items():
        with monkeypatch.context() as environment:
            for name, value in told(found[tier]).items():
                place = value.replace(AUTHORITY, str(CA)).replace(MOUNTED, str(tmp_path))
                if value.startswith(MOUNTED):
                    Path(place).write_text(SECRETS.get(Path(place).name, "secret"))
                environment.setenv(name, place)
            load(settings, os.environ)


@pytest.mark.parametrize("size", SIZES)
def test_each_pod_is_given_longer_than_it_takes(size: str) -> None:
    found = pods(rendered(size))
    for name in ("gateway", "worker", "persister"):
        of = told(found[name])
        takes_s = float(of["TALKLOG_GRACE_S"]) + float(of.get("TALKLOG_DRAIN_DELAY_S", 0))
        assert found[name]["terminationGracePeriodSeconds"] > takes_s + STOP_MARGIN_S


@pytest.mark.parametrize("size", SIZES)
def test_each_pod_can_write_nothing_and_become_nobody(size: str) -> None:
    for name, pod in pods(rendered(size)).items():
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsUser"] == 10001
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_secret_is_mounted_where_it_is_needed_and_in_no_environment() -> None:
    mounted = {}
    for name, pod in pods(rendered("large")).items():
        [volume] = [each for each in pod["volumes"] if each["name"] == "secrets"]
        mounted[name] = {item["key"] for item in volume["secret"]["items"]}
        assert volume["secret"]["secretName"] == "talklog"
    assert [name for name, keys in mounted.items() if "openai-api-key" in keys] == ["worker"]
    assert all({"postgres-dsn", "redis-url"} <= keys for keys in mounted.values())
    values = [value for pod in pods(rendered("small")).values() for value in told(pod).values()]
    assert not any("change-me" in value for value in values)


def test_a_tier_may_have_a_secret_of_its_own() -> None:
    keys = {}
    for tier, pod in pods(rendered("external")).items():
        keys[tier] = told(pod)["TALKLOG_KAFKA_PASSWORD_FILE"].removeprefix("/run/secrets/talklog/")
        [volume] = [each for each in pod["volumes"] if each["name"] == "secrets"]
        mounted = {item["key"] for item in volume["secret"]["items"]}
        assert {key for key in mounted if key.startswith("kafka-")} == {keys[tier]}
    assert keys == {
        "gateway": "kafka-gateway",
        "worker": "kafka-worker",
        "persister": "kafka-persister",
        "lag": "kafka-operator",
        "topics": "kafka-admin",
        "migrate": "kafka-admin",
    }


def test_numbers_are_numbers_however_large() -> None:
    assert (
        told(pods(rendered("small", "--set", "epoch=1767225600"))["gateway"])["TALKLOG_EPOCH"]
        == "1767225600"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["kafka.brokers="], "kafka.brokers"),
        (["secret.values.postgresDsn="], "postgresDsn"),
        (["secret.values.jwtSecret="], "auth.mode=jwt needs"),
        (["auth.mode=none"], "auth/mode"),
        (["auth.mode=hook"], "auth.hookUrl"),
        (["worker.replicas=9"], "9 processes, but only 8 shards"),
        (["worker.autoscaling.enabled=true"], "monitoring.prometheusUrl"),
        (["worker.env.TALKLOG_GRACE_S=600"], "graceSeconds"),
        (["worker.secretFiles.OTHER_FILE=other"], "secret.existing"),
        (["wroker.replicas=1"], "wroker"),
    ],
)
def test_what_can_not_work_is_refused_by_its_name(options: list[str], words: str) -> None:
    set_ = [word for option in options for word in ("--set", option)]
    assert words in refused("small", *set_)
