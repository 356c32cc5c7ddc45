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


def test_a_users_buckets_are_apart() -> None:
    assert len({redis_keys.rate("u"), redis_keys.connections("u"), redis_keys.session("u")}) == 3
