"""Which Host headers are a name of this machine for itself."""

import pytest

from schemas.process.connections import host_name, is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "127.0.0.5", "[::1]", "[::1]:80"],
)
def test_own_names(host: str) -> None:
    assert is_loopback(host_name(host) or "")


@pytest.mark.parametrize(
    "host",
    [
        *["", "@", "a@localhost", "localhost.example", "localhost:", "localhost:x", "localhost\n"],
        *[
            "127.1",
            "127.0.0.1:123456",
            "::1",
            "[::1",
            "[::1]8",
            "[::1]:",
            "[::1%lo]",
            "[127.0.0.1]",
        ],
        *["[localhost]", "192.0.2.1", "[2001:db8::1]:80"],
    ],
)
def test_others_and_what_is_no_name(host: str) -> None:
    # Seen, by the fuzzer: "[::1]88000" was taken for [::1].
    assert not is_loopback(host_name(host) or "")
