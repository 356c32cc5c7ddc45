"""Takes written frames apart again (RFC 6455, 5.2: unmasked, whole, without extensions)."""

from collections.abc import Iterator


def payloads(written: bytes) -> Iterator[bytes]:
    """Give the payload of each frame."""
    while written:
        size, begins = written[1], 2
        if size >= 126:
            begins = 4 if size == 126 else 10
            size = int.from_bytes(written[2:begins], "big")
        yield written[begins : begins + size]
        written = written[begins + size :]
