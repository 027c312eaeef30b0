"""How a process of AIRRA stops at once: uncommitted, with a reason in the log and a code that tells the kind."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog

EXIT_FATAL = 70  # an error that nothing here can handle
EXIT_HOLE = 71  # a record was missing between two others: the guard
EXIT_STUCK = 72  # no assignment, or no progress: the watchdog

log = structlog.get_logger()


def die(reason: str, code: int = EXIT_FATAL, **fields: object) -> NoReturn:
    """End the process now. Nothing is flushed or committed: the supervisor starts it again from the last snapshot."""
    log.critical("exit_uncommitted", reason=reason, code=code, **fields)
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)


@contextmanager
def boundary(part: str, **fields: object) -> Iterator[None]:
    """End the process on any error: this is the one place that catches them all. Cancellation passes."""
    try:
        yield
    except Exception as error:
        log.critical("unhandled", part=part, error=str(error), kind=type(error).__name__, exc_info=error, **fields)
        die(f"{part}: {type(error).__name__}: {error}")
