"""The sink's loop over a hand-written consumer and store: add, flush, and only then commit."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.signals import Tick
from schemas.topics import INCIDENTS, OUTCOMES
from streams.harness.errors import Fatal, Retryable
from streams.sink import consumer as consumer_module
from tests.unit.sink_fakes import Error, Message, Run
from tests.unit.sink_records import Log, incident, outcome, whole_loop


def test_rows_are_in_the_store_before_anything_is_committed() -> None:
    log = whole_loop()
    run = Run(log.records).go()
    assert run.journal == ["insert", "commit"]
    assert len(run.store.rows) == len(log.records) - 5
    assert run.kafka.committed[OUTCOMES.name, 0] == 1
    assert run.kafka.closed


def test_the_sink_is_a_static_member_that_commits_itself_and_reads_from_the_start() -> None:
    config = Run([]).go().kafka.config
    assert (config["group.id"], config["group.instance.id"]) == ("airra-sink", "airra-sink-0")
    assert (config["enable.auto.commit"], config["auto.offset.reset"], config["isolation.level"]) == (False, "earliest", "read_committed")


def test_while_the_store_is_away_nothing_is_lost_committed_or_taken_in_without_bound() -> None:
    log = Log()
    for version in range(1, 3_001):
        log.append(INCIDENTS, incident(version))
    run = Run(log.records)
    run.store.failures = [Retryable("store memory: connection refused")] * 6
    run.go()
    assert run.kafka.largest == consumer_module.BATCH_RECORDS
    assert len(run.store.rows) == 3_000
    assert run.kafka.committed == {(INCIDENTS.name, 0): 3_000}
    assert run.stop.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert run.readiness.said.count("store memory: connection refused") == 6
    assert run.journal == ["insert", "commit"] * 3


@pytest.mark.parametrize("how", ["on_lost", "on_revoke"])
def test_what_goes_while_the_store_is_away_is_not_left_paused(how: str) -> None:
    """Given a pause and then a move, which the client keeps it over, when the records come again, then they are taken."""
    run = Run(whole_loop().records)
    run.store.failures = [Retryable("away"), Retryable("away")]
    moved: list[bool] = []

    def move(_: float) -> None:
        if run.kafka.paused and not moved:
            moved.append(True)
            run.kafka.callbacks[how](run.kafka, [TopicPartition(INCIDENTS.name, 0)])
            run.kafka.records = whole_loop().records

    run.kafka.poll = move  # type: ignore[method-assign]
    run.go()
    assert moved
    assert run.journal[-2:] == ["insert", "commit"]


def test_a_store_that_is_down_at_the_start_is_waited_for() -> None:
    run = Run(whole_loop().records)
    run.store.migrations_failing = [Retryable("store memory: connection refused")] * 3
    run.go()
    assert run.stop.waits == [0.5, 1.0, 2.0]
    assert run.journal == ["insert", "commit"]


def test_what_cannot_be_cured_by_waiting_stops_the_sink_uncommitted() -> None:
    run = Run(whole_loop().records)
    run.store.failures = [Fatal("the store refuses the login")]
    with pytest.raises(Fatal, match="login"):
        run.go()
    assert run.journal == []
    assert run.kafka.closed


def test_ticks_alone_move_the_commit_only_every_few_seconds() -> None:
    log = Log()
    run = Run([log.append(INCIDENTS, Tick(at=1))])
    turns = iter(range(20))

    def quiet() -> None:
        run.clock += 0.5
        if next(turns) == 19:
            run.stop.set()
        else:
            run.kafka.records = [log.append(INCIDENTS, Tick(at=1))]

    run.kafka.quiet = quiet
    run.go()
    assert run.journal.count("commit") == 2  # in 10 s of ticks
    assert run.kafka.committed == {(INCIDENTS.name, 0): 20}


def test_a_failed_commit_is_repeated_by_the_next_one_and_a_lost_place_is_fatal() -> None:
    run = Run([Log().append(OUTCOMES, outcome())])
    run.kafka.commit_error = KafkaException(Error(KafkaError.REBALANCE_IN_PROGRESS))
    run.go()
    assert run.kafka.committed == {}
    lost = Run([Log().append(OUTCOMES, outcome())])
    lost.kafka.commit_error = KafkaException(Error(KafkaError.FENCED_INSTANCE_ID, "fenced", is_fatal=True))
    with pytest.raises(Fatal, match="fenced"):
        lost.go()


def test_a_revoked_partition_is_flushed_first_and_a_lost_one_is_dropped() -> None:
    for callback, expected in (("on_revoke", ["insert", "commit"]), ("on_lost", [])):
        run = Run([Log().append(OUTCOMES, outcome())])
        run.sink._due = lambda run=run, name=callback: run.kafka.callbacks[name](run.kafka, []) or False  # type: ignore[method-assign]
        run.go()
        assert run.journal == expected


def test_a_revoke_while_the_store_is_away_leaves_the_records_to_the_next_owner() -> None:
    run = Run([Log().append(OUTCOMES, outcome())])
    run.store.failures = [Retryable("away")]
    run.sink._due = lambda: run.kafka.callbacks["on_revoke"](run.kafka, []) or False  # type: ignore[method-assign]
    run.go()
    assert run.kafka.committed == {}
    assert run.store.rows == []


def test_a_missing_topic_and_a_lost_broker_are_reasons_and_fatal_is_fatal() -> None:
    run = Run([])
    run.kafka.errors = [
        Message(None, Error(KafkaError.UNKNOWN_TOPIC_OR_PART), "airra.outcomes.v1"),
        Message(None, Error(KafkaError._ALL_BROKERS_DOWN, "down")),
    ]
    run.go()
    assert "missing topics: airra.outcomes.v1" in run.readiness.said
    assert "down" in run.readiness.said
    assert run.readiness.report() == (False, {"sink": "stopped"})
    fatal = Run([])
    fatal.kafka.errors = [Message(None, Error(KafkaError._FATAL, "fenced", is_fatal=True))]
    with pytest.raises(Fatal, match="fenced"):
        fatal.go()


def test_the_sink_is_ready_once_it_has_partitions() -> None:
    run = Run([])
    run.kafka.quiet = lambda: (run.kafka.callbacks["on_assign"](run.kafka, [TopicPartition(OUTCOMES.name, 0)]), run.stop.set())
    run.go()
    assert run.readiness.said[-2:] == ["", "stopped"]
