"""Unit tests are pure: a test that opens a socket is in the wrong folder."""

import pytest
from pytest_socket import disable_socket


@pytest.fixture(autouse=True)
def _no_sockets(socket_enabled: None) -> None:  # the event loop's own pair is of the Unix kind
    disable_socket(allow_unix_socket=True)
