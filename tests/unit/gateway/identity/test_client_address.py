"""Whose address a request comes from is said by those who are trusted, and by nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.client_address import BadNetwork, client_address, networks

PROXIES = networks("10.0.0.0/8, 127.0.0.1, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.9, 10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9, _hidden, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("::1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("no address", ["198.51.100.9"], "no address"),
    ],
)
def test_the_list_is_read_from_its_end(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_nobody_is_trusted_if_nobody_is_named() -> None:
    assert client_address("127.0.0.1", ["198.51.100.9"], networks("")) == "127.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8", "*"])
def test_what_is_no_network_is_said(text: str) -> None:
    with pytest.raises(BadNetwork):
        networks(text)


@given(st.text(max_size=30), st.lists(st.text(max_size=50), max_size=5))
def test_any_header_gives_an_address(peer: str, forwarded: list[str]) -> None:
    assert isinstance(client_address(peer, forwarded, PROXIES), str)


@given(st.lists(st.ip_addresses().map(str), max_size=5))
def test_a_stranger_is_what_he_is(forwarded: list[str]) -> None:
    assert client_address("203.0.113.5", [", ".join(forwarded)], PROXIES) == "203.0.113.5"
