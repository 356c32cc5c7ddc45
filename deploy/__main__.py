"""The `talklog` command: one subcommand each for what people do with an installation.

It starts in a moment because only the module of the subcommand that was asked for is imported.
To add a subcommand, give it a line in COMMANDS; one that has subcommands itself is a Typer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("local.commands:run", "Start the whole stack here; Ctrl-C stops it."),
    "up": ("local.commands:up", "Start the whole stack in the background."),
    "down": ("local.commands:down", "Stop the stack, whatever state it is in."),
    "status": ("local.commands:status", "Show what lives, with pids and ports."),
    "start": ("local.commands:start", "Start again what is dead in the running stack."),
    "chat": ("chat.command:chat", "Chat in the terminal, or pipe one message through."),
    "token": ("operators.token:token", "Make a token for development (TALKLOG_AUTH=jwt)."),
    "replay": (
        "operators.replay.command:replay",
        "Print a conversation, re-read from the log.",
    ),
    "lag": ("operators.lag.command:lag", "Show how far the readers are behind the log."),
    "lag-exporter": (
        "operators.lag.exporter:lag_exporter",
        "Show the same as metrics, for alerts and scaling.",
    ),
    "make-topics": (
        "operators.prepare:make_topics",
        "Make the topics that are missing, and check them all.",
    ),
    "migrate": ("operators.prepare:migrate", "Bring the database to the newest form."),
    "verify": (
        "operators.verify.command:verify",
        "Hold the log and Postgres to every rule.",
    ),
    "topics": (
        "operators.topics_command:topics",
        "Check the topics; --acls: the rights that each tier needs in Kafka.",
    ),
    "rebuild": (
        "operators.rebuild.command:rebuild",
        "Make the tables anew from the log, and compare.",
    ),
    "forget": (
        "operators.forget.command:forget",
        "Erase a conversation, or what one user has said.",
    ),
    "dead-letters": (
        "operators.dead_letters.command:app",
        "List, show and redrive what could not be used.",
    ),
    "doctor": ("operators.doctor:doctor", "Say what this machine lacks, and how to get it."),
    "schemas": (
        "documents.schema_documents:schemas",
        "Write the JSON Schemas and the AsyncAPI document.",
    ),
    "settings": ("documents.settings_list:settings", "List every setting with its default."),
    "clean": ("local.commands:clean", "Remove the stack's data, logs, ports and epoch."),
}
"""Name: (module in deploy:function, the line that --help shows). Its arguments are Typer's."""


def build(asked: str | None) -> typer.Typer:
    """The command line, of which only the subcommand `asked` can be called."""
    app = typer.Typer(
        help="Streaming chat on a log: run it, watch it, read it again.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, (place, line) in COMMANDS.items():
        found = _load(place) if name == asked else _listed
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=line)
        else:
            app.command(name, help=line)(found)
    return app


def main() -> None:
    """Run the command line."""
    build(next((word for word in sys.argv[1:] if not word.startswith("-")), None))()


def _load(place: str) -> Callable[..., Any] | typer.Typer:
    module, function = place.split(":")
    found: Callable[..., Any] | typer.Typer = getattr(import_module(f"deploy.{module}"), function)
    return found


def _listed() -> None:
    """Stand for a subcommand that is only listed."""


if __name__ == "__main__":
    main()
