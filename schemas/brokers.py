"""Where the brokers are, and how they are spoken to: in the clear or over TLS, and as whom. Pure.

It is one value that goes from the settings to every client of Kafka. A plain address stands for
brokers that ask for nothing (`Kafka`), as they are on a laptop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

Security: TypeAlias = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism: TypeAlias = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

ADDRESSES = "TALKLOG_KAFKA"
SECURITY = "TALKLOG_KAFKA_SECURITY"
MECHANISM = "TALKLOG_KAFKA_SASL_MECHANISM"
USER = "TALKLOG_KAFKA_USER"
PASSWORD = "TALKLOG_KAFKA_PASSWORD"  # noqa: S105 - its name
TOKEN_FILE = "TALKLOG_KAFKA_TOKEN_FILE"  # noqa: S105 - its name
TOKEN_URL = "TALKLOG_KAFKA_TOKEN_URL"  # noqa: S105 - its name
TOKEN_SCOPE = "TALKLOG_KAFKA_TOKEN_SCOPE"  # noqa: S105 - its name
CA = "TALKLOG_KAFKA_CA"
CERTIFICATE = "TALKLOG_KAFKA_CERTIFICATE"
KEY = "TALKLOG_KAFKA_KEY"

VARIABLES: Mapping[str, str] = {
    "security": SECURITY,
    "mechanism": MECHANISM,
    "user": USER,
    "password": PASSWORD,
    "token_file": TOKEN_FILE,
    "token_url": TOKEN_URL,
    "token_scope": TOKEN_SCOPE,
    "ca": CA,
    "certificate": CERTIFICATE,
    "key": KEY,
}
"""The setting of each part of `Brokers`, beside the addresses."""


@dataclass(frozen=True, slots=True)
class Brokers:
    """Addresses (host:port, separated by commas), and what their clients bring along.

    `ca`, `certificate`, `key` and `token_file` are paths. It is shown as its addresses.
    """

    addresses: str
    security: Security = "plaintext"
    mechanism: Mechanism = ""
    user: str = ""
    password: str = field(default="", repr=False)
    token_file: str = ""
    token_url: str = ""
    token_scope: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __str__(self) -> str:
        return self.addresses

    @property
    def encrypted(self) -> bool:
        """Whether they are spoken to over TLS."""
        return self.security in ("ssl", "sasl_ssl")

    @property
    def sasl(self) -> bool:
        """Whether they ask who it is, by a password or a token."""
        return self.security.startswith("sasl")


Kafka: TypeAlias = Brokers | str
"""What a client of Kafka is given; a plain address is one without TLS and passwords."""


def brokers_at(kafka: Kafka) -> Brokers:
    """Give the brokers that a plain address may stand for."""
    return kafka if isinstance(kafka, Brokers) else Brokers(kafka)


def contradictions(brokers: Brokers) -> list[str]:
    """Give a line for each setting that can't be right beside the others, by its name."""
    problems = []
    for name, value, allowed in (
        (SECURITY, brokers.security, get_args(Security)),
        (MECHANISM, brokers.mechanism, get_args(Mechanism)),
    ):
        if value not in allowed:
            problems.append(f"{name}={value!r}: one of {', '.join(filter(None, allowed))}")
    return problems or [*_of_tls(brokers), *_of_sasl(brokers)]


def _of_tls(brokers: Brokers) -> list[str]:
    files = ((CA, brokers.ca), (CERTIFICATE, brokers.certificate), (KEY, brokers.key))
    if not brokers.encrypted:
        return [f"{name}={path!r}: {_set_to(brokers)} has no TLS" for name, path in files if path]
    if brokers.key and not brokers.certificate:
        return [f"{KEY}={brokers.key!r}: a key without {CERTIFICATE}"]
    return []


def _of_sasl(brokers: Brokers) -> list[str]:
    given = {
        MECHANISM: brokers.mechanism,
        USER: brokers.user,
        PASSWORD: brokers.password,
        TOKEN_FILE: brokers.token_file,
        TOKEN_URL: brokers.token_url,
        TOKEN_SCOPE: brokers.token_scope,
    }
    if not brokers.sasl:
        return [f"{name}: {_set_to(brokers)} asks for no name" for name in given if given[name]]
    if not brokers.mechanism:
        return [f"{MECHANISM}: {_set_to(brokers)} needs it"]
    needed, why = _needed(brokers)
    problems = [f"{name}: {why} needs it" for name in needed if not given[name]]
    used = (MECHANISM, *needed, *((TOKEN_SCOPE,) if TOKEN_URL in needed else ()))
    problems += [
        f"{name}: {why} does not use it" for name in given if given[name] and name not in used
    ]
    if brokers.token_url and not brokers.token_url.startswith(("http://", "https://")):
        problems.append(f"{TOKEN_URL}={brokers.token_url!r}: no address: http:// or https://")
    return problems


def _needed(brokers: Brokers) -> tuple[tuple[str, ...], str]:
    """What the mechanism is told by, and how that is said."""
    why = f"{MECHANISM}={brokers.mechanism}"
    if brokers.mechanism != "OAUTHBEARER":
        return (USER, PASSWORD), why
    if brokers.token_url:
        return (TOKEN_URL, USER, PASSWORD), f"{why} with {TOKEN_URL}"
    return (TOKEN_FILE,), why


def _set_to(brokers: Brokers) -> str:
    return f"{SECURITY}={brokers.security}"
