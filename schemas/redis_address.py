"""The address of a Redis: one server, one that sentinels name, or a cluster. Pure.

    redis://user:password@host:6379/0              rediss:// is TLS
    redis+sentinel://host:26379,host:26379/NAME/0  the master of that name, as the sentinels say
    redis+cluster://host:6379,host:6379            any nodes of the cluster; it tells the others

User, password and options (`?ssl_ca_certs=…`) stand where they do for one server. Options that
begin with `sentinel_` are for the sentinels: `sentinel_username`, `sentinel_password`.
"""

import re
from dataclasses import dataclass
from typing import Literal

_ONE = re.compile(r"(?:rediss?|unix)://.+")
_ADDRESS = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://(?:(?P<login>[^@/]*)@)?"
    r"(?P<nodes>[^/?@]+)(?P<path>/[^?]*)?(?P<query>\?.*)?"
)
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:?#@\[\]]+)(?::(\d{1,5}))?")
_MASTER = re.compile(r"/(?P<master>[A-Za-z0-9._-]+)(?P<db>/\d+)?")
SENTINEL_PORT, REDIS_PORT = 26379, 6379

Node = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where it is; `one` is the address of one server with the same login, path and options."""

    kind: Literal["one", "sentinel", "cluster"]
    one: str
    nodes: tuple[Node, ...] = ()
    master: str = ""
    tls: bool = False


class BadAddress(ValueError):
    """It is none; the text says why, and shows no password."""


def redis_address(url: str) -> RedisAddress:
    """Read an address. Raises BadAddress."""
    if _ONE.fullmatch(url):
        return RedisAddress("one", url, tls=url.startswith("rediss://"))
    found = _ADDRESS.fullmatch(url)
    if found is None:
        raise BadAddress(
            "no address of a Redis: begins with redis://, rediss:// or unix://, "
            "redis+sentinel:// or redis+cluster://"
        )
    sentinel = found["kind"] == "sentinel"
    default = SENTINEL_PORT if sentinel else REDIS_PORT
    nodes = tuple(_node(text, default) for text in found["nodes"].split(","))
    master, db = _master(found["path"] or "") if sentinel else ("", _no_path(found["path"] or ""))
    login = f"{found['login']}@" if found["login"] else ""
    host, port = nodes[0]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    one = f"{found['scheme']}://{login}{place}{db}{found['query'] or ''}"
    kind: Literal["sentinel", "cluster"] = "sentinel" if sentinel else "cluster"
    return RedisAddress(kind, one, nodes, master, found["scheme"] == "rediss")


def _node(text: str, default: int) -> Node:
    found = _NODE.fullmatch(text.strip())
    port = int(found[2] or default) if found else 0
    if found is None or not 0 < port < 65536:
        raise BadAddress(f"{text.strip()!r} is not host:port")
    return found[1].strip("[]"), port


def _master(path: str) -> tuple[str, str]:
    found = _MASTER.fullmatch(path)
    if found is None:
        raise BadAddress("redis+sentinel:// needs the master's name: …/NAME, or …/NAME/0")
    return found["master"], found["db"] or ""


def _no_path(path: str) -> str:
    if path.strip("/") not in ("", "0"):
        raise BadAddress("a cluster has one database, 0")
    return ""
