"""The rights in Kafka, as few as the tiers work with."""

from schemas.kafka_rights import TIERS, rights
from schemas.topics import SESSION_LOG


def test_only_a_worker_writes_answers_and_an_operator_that_they_are_forgotten() -> None:
    writers = {r.principal for r in rights() if r.name == SESSION_LOG and r.operation == "Write"}
    assert writers == {"User:talklog-worker", "User:talklog-operator"}


def test_every_user_is_named_behind_the_prefix() -> None:
    assert {right.principal for right in rights("team-")} == {f"User:team-{tier}" for tier in TIERS}
