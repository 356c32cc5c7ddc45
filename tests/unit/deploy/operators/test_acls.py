"""ACLs as lines of Kafka's own tool: one for each user and resource."""

from deploy.operators.acls import as_commands
from schemas.kafka_rights import Right, rights
from schemas.topics import SESSION_LOG, USER_MESSAGES


def test_a_line_has_all_that_a_user_may_do_with_a_resource() -> None:
    same = [Right("User:a b", "topic", "t", operation) for operation in ("Read", "Write")]
    other = Right("User:a b", "group", "g", "Read")
    start = "kafka-acls.sh --bootstrap-server k:1 --command-config admin.properties --add"
    assert list(as_commands([*same, other], "k:1")) == [
        f"{start} --allow-principal 'User:a b' --operation Read --operation Write --topic t",
        f"{start} --allow-principal 'User:a b' --operation Read --group g",
    ]


def test_every_right_is_in_a_line() -> None:
    lines = list(as_commands(rights(), "k:1"))
    assert sum(line.count("--operation") for line in lines) == len(list(rights()))
    assert any("talklog-gateway" in line and USER_MESSAGES in line for line in lines)
    assert any("talklog-worker" in line and SESSION_LOG in line for line in lines)
