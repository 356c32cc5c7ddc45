"""The subcommands `run`, `up`, `down` and `status`: settings in, exit code out."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from deploy.local.settings import StackSettings, StackSettingsError, from_environment
from schemas.settings import misspelt

EXIT_SETTINGS = 2

ServersOnly = Annotated[
    bool, typer.Option("--servers-only", help="Kafka, Postgres and Redis, no services, no model.")
]


def run(servers_only: ServersOnly = False) -> None:
    """Start the whole stack here and watch it; Ctrl-C stops it."""
    from deploy.local.run import run as run_stack

    raise typer.Exit(run_stack(_settings(), servers_only=servers_only))


def _settings() -> StackSettings:
    problems = misspelt(os.environ)
    try:
        settings = from_environment(os.environ)
    except StackSettingsError as error:
        problems += str(error).splitlines()
    if problems:
        for line in problems:
            typer.echo(f"settings: {line}", err=True)
        raise typer.Exit(EXIT_SETTINGS)
    return settings
