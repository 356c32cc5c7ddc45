"""Keys of different things, or of different logs, never meet."""

from schemas import redis_keys


def test_the_history_is_where_it_has_always_been() -> None:
    assert redis_keys.session("abc123") == "session:abc123"


def test_a_claim_belongs_to_one_log() -> None:
    # One older than the topics would call a message accepted that is in no log.
    assert redis_keys.claim(1, "s", "m") != redis_keys.claim(2, "s", "m")


def test_claims_of_different_messages_differ() -> None:
    # A session id may hold a colon, a message id may not.
    assert redis_keys.claim(1, "a:b", "c") != redis_keys.claim(1, "a", "c")
    assert redis_keys.claim(1, "a:b", "c") == "message:1:{a:b}:c"


def test_what_one_script_takes_lies_at_one_place_of_a_cluster() -> None:
    tagged = [
        key.split("{")[1].split("}")[0]
        for key in (redis_keys.claim(1, "a:b", "c"), redis_keys.rate("a:b"))
    ]
    assert tagged == ["a:b", "a:b"]


def test_what_is_counted_of_different_kinds_is_apart() -> None:
    kinds = ("session", "user", "address")
    assert len({redis_keys.limits(kind, "u") for kind in kinds} | {redis_keys.rate("u")}) == 4


def test_what_a_worker_notes_of_a_user_lies_where_his_limits_do() -> None:
    for user in ("alice", "a}b", "{", ""):
        keys = (redis_keys.limits("user", user), redis_keys.counted(user, "s m"))
        assert len({key.split("{", 1)[1].split("}")[0] for key in keys}) == 1
