"""The three kinds of error; everything else is sorted into these in one boundary helper."""

from __future__ import annotations


class Poison(Exception):
    """A record that will never be readable: it goes to the dead-letter topic with the reason, and the stage goes on."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Retryable(Exception):
    """Later it may work: back off, try again, then stop uncommitted."""


class Fatal(Exception):
    """Stop the process uncommitted; the supervisor restarts it."""


class Unfit(Fatal):
    """What this release finds is not what it can work on (a format, a number of partitions): a person must do something first."""
