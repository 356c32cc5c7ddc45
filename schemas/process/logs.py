"""How every process logs: structlog over the standard library, one line an event, to stderr."""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import structlog

BESIDE_LIMIT_S = 2.0


def configure(level: str, form: str) -> None:
    """Set up logging once, at start. `form`: console, json, or auto (console on a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # A topic that was just made answers "not leader" for a moment, and aiokafka warns each time.
    logging.getLogger("aiokafka").setLevel(
        max(logging.WARNING, logging.getLevelName(level.upper()))
    )


def log_beside(write: Callable[..., object], event: str, **fields: object) -> None:
    """Log from a thread that watches another, waiting for a bounded time.

    What the other hangs on may be the log itself, and it holds the log's lock then.
    """
    thread = threading.Thread(target=write, args=(event,), kwargs=fields, daemon=True)
    thread.start()
    thread.join(BESIDE_LIMIT_S)


def stack_of(thread: int) -> str:
    """Where a thread stands now; empty if it has ended."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
