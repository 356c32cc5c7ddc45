"""`talklog topics`: what is odd about the topics, and the rights that each tier needs in Kafka."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from deploy.operators import acls
from deploy.operators.tooling.installation import NoInstallation, find
from deploy.operators.topics import TopicsUnusable
from schemas.brokers import Brokers
from schemas.kafka_rights import rights
from schemas.log.log_reader import LogUnavailable
from schemas.log.topic_check import look_at_topics
from schemas.process.exit_codes import EXIT_FAILED, EXIT_SETTINGS
from schemas.topics import topics as wanted


def topics(
    show_acls: Annotated[
        bool, typer.Option("--acls", help="Print the ACLs that the tiers need, a line each.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Give the brokers these ACLs, as a user that may.")
    ] = False,
    prefix: Annotated[
        str, typer.Option(help="What the users' names begin with, before the tier.")
    ] = "talklog-",
) -> None:
    """Say what is odd about the topics; exit code 1 if something can't work."""
    if apply and not show_acls:
        typer.echo("--apply belongs to --acls", err=True)
        raise typer.Exit(EXIT_SETTINGS)
    try:
        kafka = find(os.environ).need_kafka()
    except NoInstallation as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_SETTINGS) from None
    try:
        code = _acls(kafka, prefix, apply=apply) if show_acls else _look(kafka)
    except (TopicsUnusable, LogUnavailable) as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_FAILED) from None
    raise typer.Exit(code)


def _acls(kafka: Brokers, prefix: str, *, apply: bool) -> int:
    needed = list(rights(prefix))
    if apply:
        typer.echo(f"{asyncio.run(acls.grant(kafka, needed))} ACLs are there")
        return 0
    for line in acls.as_commands(needed, kafka.addresses):
        typer.echo(line)
    return 0


def _look(kafka: Brokers) -> int:
    odd = asyncio.run(look_at_topics(kafka, [topic.name for topic in wanted(1, 1)]))
    for oddity in odd:
        typer.echo(oddity.text)
    if not odd:
        typer.echo("the topics are as they should be")
    return EXIT_FAILED if any(oddity.wrong for oddity in odd) else 0
