"""The limits that Postgres is told of: once a connection, or with each transaction."""

from schemas.session_limits import SessionLimits

VALUES: dict[str, int | str] = {"statement_timeout": 5000, "search_path": "own"}


def test_a_connection_of_ones_own_is_told_once() -> None:
    limits = SessionLimits(VALUES, pooled=False)
    assert limits.connection() == {"options": "-c statement_timeout=5000 -c search_path=own"}
    assert limits.transaction() is None


def test_behind_a_pooler_each_transaction_tells_and_nothing_is_prepared() -> None:
    limits = SessionLimits(VALUES, pooled=True)
    assert limits.connection() == {"prepare_threshold": None}
    assert limits.transaction() == (
        "SELECT set_config('statement_timeout', '5000', true), "
        "set_config('search_path', 'own', true)"
    )
