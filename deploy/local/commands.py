"""The stack's subcommands: settings in, exit code out.

Exit codes: 0 done, 1 failed, 2 settings, 3 a stack runs already, 130 Ctrl-C.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from deploy.local.settings import BadStackSettings, StackSettings, from_environment
from schemas.process.exit_codes import EXIT_RUNS_ALREADY, EXIT_SETTINGS
from schemas.process.settings import refused_names

ServersOnly = Annotated[
    bool,
    typer.Option("--servers-only", help="Only Kafka, Postgres and Redis, no services, no model."),
]


def run(servers_only: ServersOnly = False) -> None:
    """Start the whole stack here and watch it."""
    from deploy.local.run import run as run_stack

    raise typer.Exit(run_stack(_settings(), servers_only=servers_only))


def up(servers_only: ServersOnly = False) -> None:
    """Start the stack in the background; return when a message went through."""
    from deploy.local import background
    from deploy.local.lock import RunsAlready

    state = _settings().state.resolve()
    arguments = ["--servers-only"] if servers_only else []
    try:
        raise typer.Exit(background.up(state, arguments, os.environ, typer.echo))
    except RunsAlready as error:
        typer.echo(error)
        raise typer.Exit(EXIT_RUNS_ALREADY) from None


def down() -> None:
    """Stop the stack and whatever is left of it."""
    from deploy.local import background

    raise typer.Exit(background.down(_settings().state.resolve(), typer.echo))


def status() -> None:
    """Show what lives."""
    from deploy.local import background

    raise typer.Exit(background.status(_settings().state.resolve(), typer.echo))


def start() -> None:
    """Start again what is dead in the running stack (with RESTART=0 it stays dead else)."""
    from deploy.local import background

    raise typer.Exit(background.start(_settings().state.resolve(), typer.echo))


def clean() -> None:
    """Stop the stack and remove its folder: data, logs, ports, epoch."""
    from deploy.local import background

    raise typer.Exit(background.clean(_settings().state.resolve(), typer.echo))


def _settings() -> StackSettings:
    problems = refused_names(os.environ)
    try:
        settings = from_environment(os.environ)
    except BadStackSettings as error:
        problems += str(error).splitlines()
    if problems:
        for line in problems:
            typer.echo(f"settings: {line}", err=True)
        raise typer.Exit(EXIT_SETTINGS)
    return settings
