"""JSON logs on stderr: one event a line, with the incident and correlation ids that the event carries."""

from __future__ import annotations

import logging
import sys

import structlog

# They log addresses and headers, which may hold secrets (a webhook's path): never, whatever level is asked for.
HTTP_CLIENTS = ("httpx2", "httpcore2", "httpx", "httpcore", "anthropic", "openai", "urllib3")


def configure(level: str, role: str) -> None:
    """Send structlog's events and the libraries' own logs to stderr as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(role=role)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # The libraries tell of every rebalance and request at info: theirs starts at warning, unless debugging is asked for.
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    for name in HTTP_CLIENTS:
        logging.getLogger(name).setLevel(logging.WARNING)
