"""SECURE=1: who may into which server of the stack, and with what.

Every tier has a user of its own in Kafka, Postgres and Redis, with the rights it needs and no more;
`operator` is who types `talklog verify`, `admin` makes topics, tables and rights. Passwords are
drawn once and lie, with the certificates, in the folder `secure` of the stack, which is its owner's
alone.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from deploy.local import certificates
from deploy.local.kept import write_whole
from schemas import brokers, redis_rights
from schemas.brokers import Brokers

TIERS = ("gateway", "worker", "persister")
USERS = (*TIERS, "operator", "admin")
BROKER = certificates.BROKER
MECHANISM: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"


class Secured:
    """The folder with what is secret, made when it is opened."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "secure"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)
        certificates.make(self.folder)
        self._passwords = {name: self._password(name) for name in (*USERS, BROKER)}

    @property
    def ca(self) -> Path:
        """The file of who has signed the servers' certificates."""
        return self.folder / "ca.pem"

    def certificate(self, server: str) -> Path:
        """The file with a server's key and certificate."""
        return self.folder / f"{server}.pem"

    def password(self, user: str) -> str:
        """The user's password, the same in every server."""
        return self._passwords[user]

    def kafka(self, addresses: str, user: str) -> Brokers:
        """The brokers, as this user."""
        return Brokers(
            addresses,
            security="sasl_ssl",
            mechanism=MECHANISM,
            user=named(user),
            password=self.password(user),
            ca=str(self.ca),
        )

    def way_in(self, user: str) -> dict[str, str]:
        """The settings of Kafka for this user."""
        return {
            brokers.SECURITY: "sasl_ssl",
            brokers.MECHANISM: MECHANISM,
            brokers.USER: named(user),
            brokers.PASSWORD + "_FILE": str(self._password_file(user)),
            brokers.CA: str(self.ca),
        }

    def redis_url(self, port: int, user: str) -> str:
        """The address of the Redis, as this user."""
        way_in = f"{named(user)}:{self.password(user)}"
        return f"rediss://{way_in}@127.0.0.1:{port}/0?ssl_ca_certs={quote(str(self.ca))}"

    @property
    def dsn_options(self) -> str:
        """What an address of Postgres ends with: TLS, and the server held to its certificate."""
        return f"?sslmode=verify-full&sslrootcert={quote(str(self.ca))}"

    def scram_arguments(self) -> Path:
        """A file with what makes the users of Kafka, for the tool that formats its storage.

        As arguments of its command everybody could read them.
        """
        lines = [
            line
            for name in (*USERS, BROKER)
            for mechanism in ("SCRAM-SHA-256", MECHANISM)
            for line in (
                "--add-scram",
                f"{mechanism}=[name={named(name)},password={self.password(name)}]",
            )
        ]
        path = self.folder / "scram"
        certificates.write_secret(path, "\n".join(lines).encode())
        return path

    def redis_users(self) -> Path:
        """The file of Redis' users: each with the keys and commands it needs, none without a name.

        Redis knows the passwords by their hashes.
        """
        lines = ["user default off"]
        for user, rights in redis_rights.RIGHTS.items():
            digest = hashlib.sha256(self.password(user).encode()).hexdigest()
            lines.append(f"user {named(user)} on #{digest} {rights}")
        path = self.folder / "redis.acl"
        certificates.write_secret(path, ("\n".join(lines) + "\n").encode())
        return path

    def _password_file(self, user: str) -> Path:
        return self.folder / f"{user}.password"

    def _password(self, user: str) -> str:
        path = self._password_file(user)
        if not path.exists():
            write_whole(path, secrets.token_urlsafe(24).encode())
        return path.read_text()


def named(user: str) -> str:
    """What a user is called in the servers."""
    return user if user == BROKER else f"talklog-{user}"
