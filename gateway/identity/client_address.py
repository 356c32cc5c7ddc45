"""From where a request comes, through the proxies that are trusted. Pure.

1. Without trusted proxies it is the peer, whatever the headers say.
2. A proxy puts the address that it was called from at the end of `X-Forwarded-For`. So the list is
   read from its end, as long as the one who wrote the entry is trusted; what is before that may be
   anybody's invention.
3. An entry that is no address ends it: who wrote it is the last that is known.

`Forwarded` (RFC 7239) is not read: a proxy that writes the one passes on what a client says in the
other.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from schemas.process.settings import listed

Network = IPv4Network | IPv6Network
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""By these a proxy says for whom it asks."""
HOPS_MAX = 32


class BadNetwork(ValueError):
    """It is neither an address nor a network; the text names it."""


def networks(text: str) -> tuple[Network, ...]:
    """Read a list with commas of addresses and networks. Raises BadNetwork."""
    found: list[Network] = []
    for part in listed(text):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise BadNetwork(f"{error}; as 10.0.0.0/8 or 192.168.1.5") from None
    return tuple(found)


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> str:
    """Give the client's address; `forwarded_for` are the values of the header, in their order."""
    address = _address(peer)
    if address is None:
        return peer
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops[-HOPS_MAX:]):
        if not any(address in network for network in trusted):
            break
        before = _address(hop)
        if before is None:
            break
        address = before
    return str(address)


def trusted(peer: str, proxies: Sequence[Network]) -> bool:
    """Whether the peer is one of the proxies."""
    address = _address(peer)
    return address is not None and any(address in network for network in proxies)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if text.startswith("["):  # [::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.7:4711
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on both families calls an IPv4 peer ::ffff:192.0.2.7.
    return getattr(address, "ipv4_mapped", None) or address
