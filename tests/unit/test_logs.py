"""What the logs never say: addresses that libraries log, for a webhook's may hold a secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import httpx2
import pytest
import structlog

from cli import logs
from tests.faults.points.gate import Receiver


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Configure at the level that says most; give everything back at the end."""
    written, root = io.StringIO(), logging.getLogger()
    before = root.level, root.handlers[:]
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure("debug", "control")
    yield written
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_an_address_that_was_posted_to_is_not_logged_even_when_debugging(stderr: io.StringIO) -> None:
    with Receiver() as receiver:
        httpx2.post(f"{receiver.url}/services/hunter2", content=b"{}", headers={"Idempotency-Key": "1"})
    assert receiver.told == {"1": 1}
    logging.getLogger("aiokafka").debug("a library speaks")
    said = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert "a library speaks" in [line["event"] for line in said]
    assert "hunter2" not in stderr.getvalue()
