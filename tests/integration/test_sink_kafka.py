"""The sink as a process between a real log and a real store: fresh within about a second, and right after SIGKILL."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from schemas.topics import DLQ, INCIDENTS, OUTCOMES
from streams.harness.stage import Record
from streams.sink.rows import TOPICS
from streams.sink.store import connect
from tests.unit.sink_records import Log, outcome, whole_loop

REPO = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, threading
from pathlib import Path
import structlog
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.sink import Sink
from streams.sink.server import StoreServer
from streams.sink.store import open_store

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
store = open_store("", "", Path(sys.argv[2]))
server = StoreServer(store)
server.start()
print(server.url, flush=True)
Sink(KafkaSettings(sys.argv[1]), store).run(stop, Readiness())
server.stop()
store.close()
print("closed", flush=True)
"""


class Process:
    """One sink and a client of what it serves."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        command = [sys.executable, "-c", PROGRAM, bootstrap, str(directory)]
        with directory.with_suffix(".log").open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=REPO)
        self.client = connect(self._line("http://"))

    def _line(self, start: str, within_s: float = 60.0) -> str:
        assert self.process.stdout is not None
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], left)[0]:
                line = self.process.stdout.readline().strip()
                if line.startswith(start):
                    return line
                assert line or self.process.poll() is None, f"the sink ended with {self.process.returncode}"
        raise AssertionError(f"no {start} within {within_s} s")

    def ask(self, query: str) -> Any:
        return self.client.query(query).result_rows

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    def terminate(self) -> None:
        self.process.terminate()
        self._line("closed", 30)
        assert self.process.wait(timeout=30) == 0


@contextmanager
def running(bootstrap: str, directory: Path) -> Iterator[Process]:
    sink = Process(bootstrap, directory)
    try:
        yield sink
    finally:
        sink.process.kill()
        sink.process.wait(timeout=30)


def produce(bootstrap: str, records: list[Record]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for record in records:
        producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        producer.poll(0)
    assert producer.flush(60) == 0


def until(condition: Callable[[], Any], within_s: float, what: str) -> float:
    """Wait until a condition holds and return how many seconds that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - start


def dead_letters(bootstrap: str) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "session.timeout.ms": 6_000, "auto.offset.reset": "earliest"})
    consumer.subscribe([DLQ.name])
    found: list[Any] = []
    until(lambda: found.extend(message for message in consumer.consume(1, 0.2) if not message.error()) or found, 30, "a dead letter")
    consumer.close()
    return found


def test_a_loop_is_queryable_within_about_a_second_and_poison_is_buried(fresh_embedded: Any, topics: Any, tmp_path: Path) -> None:
    bootstrap = fresh_embedded.bootstrap
    topics(bootstrap).create(*TOPICS)
    with running(bootstrap, tmp_path / "store") as sink:
        produce(bootstrap, [Log().append_bytes(INCIDENTS, b"nonsense"), *whole_loop().records])
        until(lambda: sink.ask("SELECT count() FROM outcomes")[0][0] == 1, 30, "the first outcome")
        until(lambda: sink.ask("SELECT phase FROM incidents_current") == [("resolved",)], 10, "the incident resolved")
        produce(bootstrap, [Log().append(OUTCOMES, outcome("act-late", confidence=0.5, correct=0))])
        seconds = until(lambda: sink.ask("SELECT pairs FROM calibration_ece") == [(2,)], 10, "the second outcome")
        assert seconds < 3.0  # half a second to gather, the rest is a slow machine
        until(lambda: sink.ask("SELECT stage, topic FROM dead_letters") == [("sink", INCIDENTS.name)], 10, "the dead letter counted")
        (letter,) = dead_letters(bootstrap)
        assert letter.value() == b"nonsense"
        sink.terminate()
    with running(bootstrap, tmp_path / "store") as again:
        assert again.ask("SELECT pairs FROM calibration_ece") == [(2,)]


def test_sigkill_in_mid_flow_leaves_every_row_right_and_once(fresh_kafka: Any, topics: Any, tmp_path: Path) -> None:
    bootstrap = fresh_kafka.bootstrap
    topics(bootstrap).create(*TOPICS)
    log = whole_loop()
    for number in range(5_000):
        log.append(OUTCOMES, outcome(f"act-n{number}", confidence=(number % 100) / 100, correct=number % 2))
    produce(bootstrap, log.records)
    seen = [0]
    for enough in (1, 2_000):
        with running(bootstrap, tmp_path / "store") as sink:

            def reached(sink: Process = sink, enough: int = enough) -> bool:
                seen.append(sink.ask("SELECT count() FROM outcomes")[0][0])
                return seen[-1] >= enough

            until(reached, 60, f"{enough} outcomes")
            sink.kill()
    assert any(0 < count < 5_001 for count in seen), "no kill was in mid-flow"
    with running(bootstrap, tmp_path / "store") as sink:
        until(lambda: sink.ask("SELECT count() FROM outcomes")[0][0] >= 5_001, 90, "all outcomes")
        assert sink.ask("SELECT count(), uniqExact(id), uniqExact(source_offset) FROM outcomes") == [(5_001, 5_001, 5_001)]
        ((pairs, confidence, accuracy),) = sink.ask("SELECT pairs, mean_confidence, accuracy FROM calibration_ece")
        assert pairs == 5_001
        assert confidence == pytest.approx((0.82 + sum((number % 100) / 100 for number in range(5_000))) / 5_001)
        assert accuracy == pytest.approx((1 + 2_500) / 5_001)
        states = [("act-1", "succeeded"), ("act-2", "refused")]
        until(lambda: sink.ask("SELECT action, state FROM actions_current ORDER BY action") == states, 10, "the actions")
        until(lambda: sink.ask("SELECT count() FROM proposals") == [(1,)], 10, "the proposal")
        sink.terminate()
