"""Settings of a worker: which model, how much at once, how patient."""

import os
import socket
from functools import cached_property
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from schemas.limits import ANSWER_MAX_S
from schemas.process.connections import Connections
from workers.attempt.needs import AttemptSettings
from workers.intake.state import Bounds
from workers.model.endpoint import Address
from workers.model.model import ModelLimits

WAITING_FOR_HISTORY_MAX = 5_000
"""Ended messages a shard that wait only for Redis; more are acknowledged without their history."""


def _model_url(value: str) -> str:
    """Refuse what the client would fail on at the first call, or in silence."""
    if not value:
        return value
    try:
        url = urlsplit(value)
        port_is_fine = url.port is None or url.port > 0
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.hostname or not port_is_fine:
        raise ValueError("must be http://… or https://… with a host, as in https://host/v1")
    if url.query or url.fragment:
        raise ValueError("must have no ?query and no #fragment: the path of each call is appended")
    if not value.isascii() or any(char.isspace() for char in value):
        raise ValueError("must be plain ASCII without white space")
    return value


def _model_key(value: str) -> str:
    """Refuse what can't stand in an HTTP header; a key is never repeated in the words."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError("must be plain ASCII without line breaks or white space around it")
    return value


ModelUrl = Annotated[str, AfterValidator(_model_url)]
ModelKey = Annotated[str, AfterValidator(_model_key)]


class WorkerSettings(Connections):
    """Read once, in `__main__`."""

    openai_base_url: ModelUrl = Field(
        "http://127.0.0.1:11434/v1",
        validation_alias="OPENAI_BASE_URL",
        description="any OpenAI-compatible API",
    )
    openai_api_key: ModelKey = Field(
        "none", validation_alias="OPENAI_API_KEY", repr=False, description="the model's key"
    )
    openai_model: str = Field(
        "default", validation_alias="OPENAI_MODEL", description="if a message names none"
    )
    fallback_base_url: ModelUrl | None = Field(
        None,
        description="another OpenAI-compatible API, asked when the first one fails",
    )
    fallback_api_key: ModelKey = Field("none", repr=False, description="the key there")
    fallback_model: str | None = Field(
        None, description="the model's name there, whatever was asked for; empty: the same name"
    )
    continue_: Literal["auto", "off"] = Field(
        "auto",
        validation_alias="TALKLOG_CONTINUE",
        description="an answer whose worker is gone goes on; off: it begins anew",
    )
    fallback_continue: Literal["auto", "off"] = Field(
        "auto", description="the same where the fallback answers"
    )
    reasoning: Literal["keep", "drop"] = Field(
        "keep", description="what the model thinks aloud: into the log, or nowhere"
    )
    system_prompt: str = Field("", description="first message of every prompt, if not empty")
    prompt_budget_tokens: int = Field(3000, ge=1, description="estimated; oldest turns go first")
    max_tokens: int = Field(1024, ge=1, description="of an answer, as the model counts")
    include_usage: bool = Field(True, description="ask the model to count its tokens")

    connect_timeout_s: float = Field(5.0, gt=0, description="to reach the model")
    first_token_timeout_s: float = Field(60.0, gt=0, description="until the first byte")
    idle_timeout_s: float = Field(30.0, gt=0, description="between two tokens")
    answer_timeout_s: float = Field(
        ANSWER_MAX_S, gt=0, le=ANSWER_MAX_S, description="for a whole answer"
    )
    model_retries: int = Field(2, ge=0, le=10, description="before the first byte only")
    retry_after_max_s: float = Field(
        20.0, ge=0, description="a model that asks to wait longer is not asked again"
    )
    breaker_failures: int = Field(
        5, ge=1, description="of a model's address in a row, then it is not asked for a time"
    )
    breaker_open_s: float = Field(5.0, gt=0, description="that time; one call then tries it")

    max_running: int = Field(200, ge=1, description="answers at once in this process")
    read_ahead_messages: int = Field(10_000, ge=1, description="unfinished messages a partition")
    read_ahead_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="of them, a process, shared out among its partitions"
    )
    chunk_every_ms: int = Field(15, ge=0, le=1000, description="least time between two chunks")
    linger_ms: int = Field(0, ge=0, le=100, description="a send waits so long for others")
    grace_s: float = Field(25.0, ge=0, description="to end or hand over running answers at SIGTERM")

    @cached_property
    def worker_name(self) -> str:
        """What `generating` says of who answers."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def attempts(self) -> AttemptSettings:
        """What attempts need of this."""
        return AttemptSettings(
            worker=self.worker_name,
            model=self.openai_model,
            system_prompt=self.system_prompt,
            budget_tokens=self.prompt_budget_tokens,
            max_tokens=self.max_tokens,
            chunk_every_s=self.chunk_every_ms / 1000,
            keep_reasoning=self.reasoning == "keep",
        )

    def bounds(self) -> Bounds:
        """What the intake needs of this."""
        return Bounds(
            max_running=self.max_running,
            read_ahead_messages=self.read_ahead_messages,
            read_ahead_bytes=self.read_ahead_bytes,
            waiting_for_history=WAITING_FOR_HISTORY_MAX,
        )

    def model_address(self) -> Address:
        """Where the model is."""
        url, key = self.openai_base_url, self.openai_api_key
        return Address("first", url, key, continues=self.continue_ == "auto")

    def model_fallback(self) -> Address | None:
        """Where another one is, if there is one."""
        if not self.fallback_base_url:
            return None
        model = self.fallback_model or None
        url, key = self.fallback_base_url, self.fallback_api_key
        return Address("fallback", url, key, model, continues=self.fallback_continue == "auto")

    def model_limits(self) -> ModelLimits:
        """What the model's client needs of this."""
        return ModelLimits(
            connect_s=self.connect_timeout_s,
            first_token_s=self.first_token_timeout_s,
            idle_s=self.idle_timeout_s,
            whole_s=self.answer_timeout_s,
            retries=self.model_retries,
            retry_after_max_s=self.retry_after_max_s,
            breaker_failures=self.breaker_failures,
            breaker_open_s=self.breaker_open_s,
        )
