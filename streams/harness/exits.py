"""How a process of AIRRA stops at once: uncommitted, with a reason in the log and a code that tells the kind."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog

from streams.harness.errors import Unfit

EXIT_UNFIT = 2  # as for a wrong configuration: no restart mends it, and the supervisor tries none
EXIT_FATAL = 70  # an error that nothing here can handle
EXIT_HOLE = 71  # a record was missing between two others: the guard
EXIT_STUCK = 72  # no assignment, or no progress: the watchdog

log = structlog.get_logger()


def die(reason: str, code: int = EXIT_FATAL, **fields: object) -> NoReturn:
    """End the process now. Nothing is flushed or committed: the supervisor starts it again from the last snapshot."""
    log.critical("exit_uncommitted", reason=reason, code=code, **fields)
    _end(code)


def refuse(reason: str) -> NoReturn:
    """End the process now, for good, and tell a person why in plain words: the supervisor hands on the last lines that are no events."""
    log.critical("exit_refused", reason=reason, code=EXIT_UNFIT)
    sys.stderr.write(f"airra: {reason}\n")
    _end(EXIT_UNFIT)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)


@contextmanager
def boundary(part: str, passing: tuple[type[Exception], ...] = (), **fields: object) -> Iterator[None]:
    """End the process on any error but those of `passing`: this is the one place that catches them all. Cancellation passes."""
    try:
        yield
    except passing:
        raise
    except Unfit as error:
        refuse(f"{part}: {error}")
    except Exception as error:
        log.critical("unhandled", part=part, error=str(error), kind=type(error).__name__, exc_info=error, **fields)
        die(f"{part}: {type(error).__name__}: {error}")
