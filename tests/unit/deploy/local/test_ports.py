"""Ports are kept from start to start; only a taken one moves."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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


RESERVE = "from deploy.local import ports; import sys; print(ports.reserve(int(sys.argv[1])))"


def reserved_by_another_process(port: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", RESERVE, str(port)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


@pytest.fixture(autouse=True)
def nothing_reserved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test reserves, it gives back."""
    reserved: dict[int, int] = {}
    monkeypatch.setattr(ports, "_reserved", reserved)
    yield
    for descriptor in reserved.values():
        os.close(descriptor)


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: True)


@pytest.mark.usefixtures("nobody_listens")
def test_a_port_is_kept_for_who_has_chosen_it_until_he_ends() -> None:
    port = free_run(1)
    assert not reserved_by_another_process(port)
    assert choose(["redis"], {"redis": port}).by_name == {"redis": port}, "it is our own"
    given_up = next(each for each in range(LOWEST, HIGHEST) if reserved_by_another_process(each))
    assert ports.reserve(given_up), "that process has ended"


@pytest.mark.usefixtures("nobody_listens")
def test_a_port_is_not_chosen_twice_by_one_process() -> None:
    first = free_run(1)
    assert free_run(1, pick=counting(first)) > first


@pytest.mark.usefixtures("nobody_listens")
def test_a_machine_that_takes_no_reservations_still_has_free_ports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "no-folder").touch()
    monkeypatch.setattr(ports, "RESERVATIONS", tmp_path / "no-folder")
    assert free_run(1) >= LOWEST
