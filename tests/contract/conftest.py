"""Real servers for the contracts of libraries that talk to them."""

from tests.integration.conftest import servers

__all__ = ["servers"]
