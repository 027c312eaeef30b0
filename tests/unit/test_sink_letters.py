"""The sink's dead letters: what is poison is buried and acknowledged before the commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.topics import DLQ, OUTCOMES
from streams.harness.errors import Retryable
from streams.harness.stage import Output
from streams.sink.letters import Letters
from tests.unit.sink_fakes import Error, Run
from tests.unit.sink_records import Log, outcome


def test_a_poison_record_is_buried_before_the_commit_and_the_rest_is_stored() -> None:
    log = Log()
    log.append(OUTCOMES, outcome("act-1"))
    log.append_bytes(OUTCOMES, b"nonsense")
    log.append(OUTCOMES, outcome("act-2"))
    run = Run(log.records).go()
    assert run.journal == ["insert", "bury", "commit"]
    assert [row.values["action"] for row in run.store.rows] == ["act-1", "act-2"]
    assert [letter.topic for letter in run.letters.sent] == [DLQ.name]
    assert run.kafka.committed == {(OUTCOMES.name, 0): 3}


def test_a_dead_letter_that_is_not_acknowledged_holds_the_commit_back() -> None:
    run = Run([Log().append_bytes(OUTCOMES, b"nonsense")])
    run.letters.failures = [Retryable("dead letters: 1 not acknowledged")]
    run.go()
    assert run.journal == ["bury", "commit"]
    assert run.readiness.said.count("dead letters: 1 not acknowledged") == 1


def test_letters_wait_for_every_acknowledgement() -> None:
    class Producer:
        def __init__(self, left: int, error: Any) -> None:
            self.left, self.error = left, error

        def produce(self, topic: str, on_delivery: Callable[[Any, Any], None], **_: Any) -> None:
            on_delivery(self.error, None)

        def flush(self, timeout: float) -> int:
            return self.left

    output = Output(DLQ.name, None, b"x")
    Letters({}, lambda _: Producer(0, None)).send([output])
    with pytest.raises(Retryable, match="1 not acknowledged"):
        Letters({}, lambda _: Producer(1, None)).send([output])
    with pytest.raises(Retryable, match="trouble"):
        Letters({}, lambda _: Producer(0, Error(1))).send([output])
