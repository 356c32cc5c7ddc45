"""`talklog token`: a token for development, signed with the secret of the gateways.

It is all that standard output gets, so that it can be put into a variable or an address:

    TALKLOG_TOKEN=$(talklog token --sub alice) talklog chat
    http://localhost:8000/#token=…
"""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

import typer

from deploy.operators.tooling.minting import CantMint, minted
from deploy.operators.tooling.since import BadSince, since_ms
from schemas.process.exit_codes import EXIT_SETTINGS
from schemas.process.settings import listed


def token(
    sub: Annotated[str, typer.Option(help="who it is")] = "developer",
    sessions: Annotated[
        str, typer.Option(help="patterns of session ids, separated by commas")
    ] = "{sub}-*",
    verbs: Annotated[
        str, typer.Option(help="of read, say, cancel, separated by commas; all if empty")
    ] = "",
    lasts: Annotated[str, typer.Option("--for", help="how long: 90s, 15m, 2h, 7d")] = "12h",
) -> None:
    """Make a token with TALKLOG_JWT_SECRET (or its _FILE), as this environment's gateways ask."""
    now_s = time.time()
    try:
        print(
            minted(
                os.environ,
                subject=sub,
                sessions=listed(sessions),
                verbs=listed(verbs),
                now_s=now_s,
                lasts_s=_seconds(lasts),
            )
        )
    except CantMint as error:
        print(f"token: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_SETTINGS) from None


def _seconds(text: str) -> float:
    try:
        # So long ago, counted from zero: the same words as everywhere else.
        lasts_s = -since_ms(text, 0) / 1000
    except BadSince:
        lasts_s = 0.0
    if lasts_s <= 0:
        raise CantMint(f"--for {text!r}: 90s, 15m, 2h, 7d")
    return lasts_s
