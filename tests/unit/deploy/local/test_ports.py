"""Ports are kept from start to start; only a taken one moves."""

from collections.abc import Callable

import pytest

from deploy.local import ports
from deploy.local.ports import HIGHEST, LOWEST, NoFreePort, choose, free_run


def counting(first: int) -> Callable[[int, int], int]:
    following = iter(range(first, HIGHEST))
    return lambda low, high: next(following)


def test_a_kept_port_that_is_free_stays() -> None:
    chosen = choose(["redis"], {"redis": 25_000}, free=lambda port: True)
    assert chosen.by_name == {"redis": 25_000}
    assert chosen.moved == {}


def test_a_kept_port_that_is_taken_moves_and_is_named() -> None:
    chosen = choose(
        ["redis"], {"redis": 25_000}, free=lambda port: port != 25_000, pick=counting(26_000)
    )
    assert chosen.by_name == {"redis": 26_000}
    assert chosen.moved == {"redis": 25_000}


def test_a_new_port_is_never_one_that_another_name_keeps() -> None:
    chosen = choose(["new", "old"], {"old": 26_000}, free=lambda port: True, pick=counting(26_000))
    assert chosen.by_name == {"new": 26_001, "old": 26_000}


def test_new_ports_differ_although_none_is_in_use_yet() -> None:
    picks = iter([LOWEST, LOWEST, LOWEST + 1])
    chosen = choose(["a", "b"], {}, free=lambda port: True, pick=lambda low, high: next(picks))
    assert chosen.by_name == {"a": LOWEST, "b": LOWEST + 1}


def test_gateways_get_consecutive_ports() -> None:
    assert free_run(3, free=lambda port: port not in (21_001,), pick=counting(21_000)) == 21_002


def test_no_free_port_is_an_error_not_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TRIES", 5)
    with pytest.raises(NoFreePort):
        choose(["a"], {}, free=lambda port: False, pick=counting(LOWEST))
