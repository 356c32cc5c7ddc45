"""Certificates, keys and tokens for Kafka, from their files, and what is wrong with them by name.

A process looks at its start, and exits with 2 for what can't work; later what is renewed in the
files is used by each client that is made.
"""

import ssl
from pathlib import Path

from schemas import brokers as names
from schemas.brokers import Brokers, contradictions

TOKEN_MAX_BYTES = 64 * 1024


class Unreadable(ValueError):
    """A file can't be used; the text has the setting, its value, and why."""


def unusable(brokers: Brokers) -> list[str]:
    """Give a line for everything about the settings of Kafka that can't work, by name."""
    problems = contradictions(brokers)
    try:
        if not problems and brokers.encrypted:
            tls_context(brokers)
        if not problems and brokers.token_file:
            token_in(brokers.token_file)
    except Unreadable as error:
        problems.append(str(error))
    return problems


def tls_context(brokers: Brokers) -> ssl.SSLContext:
    """Give what TLS needs; the brokers' names are held to their certificates. Raises Unreadable."""
    try:
        context = ssl.create_default_context(cafile=brokers.ca or None)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{names.CA}={brokers.ca!r}: {_reason(error)}") from error
    if brokers.certificate:
        try:
            # Else a key that has a password would ask for it on the terminal.
            context.load_cert_chain(brokers.certificate, brokers.key or None, password="")
        except (OSError, ValueError) as error:
            place = f"{names.CERTIFICATE}={brokers.certificate!r}, {names.KEY}={brokers.key!r}"
            raise Unreadable(f"{place}: {_reason(error)}") from error
    return context


def token_in(path: str) -> str:
    """Read a token. Raises Unreadable."""
    try:
        with Path(path).open(encoding="ascii") as file:
            text = file.read(TOKEN_MAX_BYTES + 1).strip()
    except (OSError, ValueError) as error:
        raise Unreadable(f"{names.TOKEN_FILE}={path!r}: {_reason(error)}") from error
    if not text or len(text) > TOKEN_MAX_BYTES:
        raise Unreadable(f"{names.TOKEN_FILE}={path!r}: holds no token")
    return text


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no certificate or key ({error.reason or error})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
