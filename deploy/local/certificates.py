"""Certificates for the servers of a stack with SECURE=1: an authority of its own, made once.

They are for 127.0.0.1 and localhost alone. The authority's key is not kept: nothing more can be
signed by it.
"""

from __future__ import annotations

import datetime
import os
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 3650
BROKER = "talklog-broker"
"""The name in the brokers' certificate, by which they know each other."""


def make(folder: Path) -> None:
    """Write `ca.pem`, and `NAME.pem` (key and certificate) for kafka, postgres and redis.

    A folder that has them is left as it is; what a start that was cut off left is made anew.
    """
    done = folder / "ca.pem"
    if done.exists():
        return
    now = datetime.datetime.fromtimestamp((folder.stat()).st_mtime, datetime.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "talklog local stack")])
    authority = (
        _builder(name, name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    for server in ("kafka", "postgres", "redis"):
        key = ec.generate_private_key(ec.SECP256R1())
        common = BROKER if server == "kafka" else f"talklog-{server}"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        hosts = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(subject, name, key.public_key(), now)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_secret(folder / f"{server}.pem", secret + _pem(certificate))
    write_secret(done, _pem(authority))


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks differ, and a day more harms nobody.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
