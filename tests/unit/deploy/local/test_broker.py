"""The broker's configuration for one node and for three."""

from pathlib import Path

from deploy.local.broker import Node, TierListener, addresses, properties
from deploy.local.secured import Secured

ONE = [Node(1, 9092, 9093)]
THREE = [Node(1, 9092, 9093), Node(2, 9094, 9095), Node(3, 9096, 9097)]


def read(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_one_node_keeps_one_copy() -> None:
    config = read(properties(ONE[0], ONE, Path("/data")))
    assert config["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert config["listeners"] == "BROKER://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert config["offsets.topic.replication.factor"] == "1"
    assert config["min.insync.replicas"] == "1"
    assert config["log.dirs"] == "/data"
    assert config["auto.create.topics.enable"] == "false"


def test_three_nodes_keep_three_copies_and_two_must_agree() -> None:
    config = read(properties(THREE[1], THREE, Path("/data")))
    assert config["node.id"] == "2"
    assert (
        config["controller.quorum.voters"] == "1@127.0.0.1:9093,2@127.0.0.1:9095,3@127.0.0.1:9097"
    )
    assert config["default.replication.factor"] == "3"
    assert config["min.insync.replicas"] == "2"


def test_without_links_there_are_two_listeners() -> None:
    config = read(properties(ONE[0], ONE, Path("/data")))
    assert config["advertised.listeners"] == "BROKER://127.0.0.1:9092"
    protocols = "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT"
    assert config["listener.security.protocol.map"] == protocols


def test_a_tier_has_a_listener_that_sends_it_elsewhere() -> None:
    node = Node(1, 9092, 9093, (TierListener("worker", 9001, 8001),))
    config = read(properties(node, [node], Path("/data")))
    assert config["listeners"].endswith("CONTROLLER://127.0.0.1:9093,WORKER://127.0.0.1:9001")
    assert config["advertised.listeners"] == "BROKER://127.0.0.1:9092,WORKER://127.0.0.1:8001"
    assert config["listener.security.protocol.map"].endswith(",WORKER:PLAINTEXT")
    assert config["inter.broker.listener.name"] == "BROKER"


def test_brokers_may_be_a_tier_of_their_own() -> None:
    node = Node(1, 9092, 9093, (TierListener("kafka", 9001, 8001),))
    config = read(properties(node, [node], Path("/data")))
    assert config["advertised.listeners"] == "BROKER://127.0.0.1:9092,KAFKA://127.0.0.1:8001"
    assert config["inter.broker.listener.name"] == "KAFKA"


def test_nothing_is_left_unfilled() -> None:
    assert "$" not in properties(ONE[0], ONE, Path("/data"))


def test_clients_get_every_broker() -> None:
    assert addresses(THREE) == "127.0.0.1:9092,127.0.0.1:9094,127.0.0.1:9096"


def test_a_secured_node_lets_nobody_in_without_a_name(tmp_path: Path) -> None:
    secured = Secured(tmp_path)
    config = read(properties(ONE[0], ONE, Path("/data"), secured))
    assert config["listener.security.protocol.map"] == "BROKER:SASL_SSL,CONTROLLER:SSL"
    assert config["listener.name.controller.ssl.client.auth"] == "required"
    assert config["allow.everyone.if.no.acl.found"] == "false"
    assert "StandardAuthorizer" in config["authorizer.class.name"]
    # Made once: a second start finds the same passwords.
    assert Secured(tmp_path).password("gateway") == secured.password("gateway")
