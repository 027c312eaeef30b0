"""normalise on a broker: what producers wrote comes out once, wherever it is stopped, and what is wrong ends in the dead-letter topic."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from cli.diagnose import diagnose
from schemas.config.metrics import MetricsMapping
from schemas.samples import BATCH_HEADER, decode_batch, decode_batches, decode_series
from schemas.topics import ALERTS, CATALOGUE, DLQ, RAW_ALERTS, RAW_CHANGES, RAW_METRICS, SAMPLES, SERIES, SIGNALS
from streams.harness.errors import Fatal
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.normalise.consumer import Normaliser
from streams.normalise.lanes import lanes

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "requests_total", "kind": "requests", "type": "counter"}]})
WITHIN_S = 40.0


def sample(number: int, name: str = "requests_total") -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    labels = {"__name__": name, "service": f"s{number % 5}", "instance": f"i{number % 20}"}
    return json.dumps({"labels": labels, "name": name, "timestamp": stamp, "value": str(number)}).encode()


def alert() -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "A", "service": "s1"}, "startsAt": stamp}]}).encode()


def change() -> bytes:
    return json.dumps({"type": "deploy", "service": "s1", "at": int(time.time() * 1000), "before": "v1", "after": "v2"}).encode()


def produce(bootstrap: str, topic: str, values: list[bytes], **record: Any) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 11_000_000})
    for value in values:
        producer.produce(topic, value=value, **record)
        producer.poll(0)
    assert producer.flush(WITHIN_S) == 0


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline, "not within the limit"
        threading.Event().wait(0.05)


class Reader:
    """Reads all partitions of the outputs from their beginning."""

    def __init__(self, bootstrap: str) -> None:
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
        topics = (SAMPLES, SERIES, ALERTS, SIGNALS, DLQ)
        self.consumer.assign([TopicPartition(spec.name, number, 0) for spec in topics for number in range(spec.partitions)])
        self.messages: list[Message] = []

    def of(self, topic: str, kind: str = "") -> list[Message]:
        self.messages += [message for message in self.consumer.consume(1000, 0.05) if message.error() is None]
        found = [message for message in self.messages if message.topic() == topic]
        return [message for message in found if not kind or dict(message.headers())["airra.type"] == kind.encode()]

    def rows(self) -> list[tuple[str, int, int, float, int]]:
        """Return (topic, partition, offset of the raw record, value, destination) of every row, repeats included."""
        found = []
        for message in self.of(SAMPLES.name, "samples"):
            for source, batch in decode_batches(message.value(), dict(message.headers())[BATCH_HEADER]).parts():
                for offset, value in zip(batch.offset.tolist(), batch.value.tolist(), strict=True):
                    found.append((source.topic, source.partition, offset, value, message.partition()))
        return found


@contextmanager
def running(bootstrap: str, instance: str = "0") -> Iterator[Readiness]:
    """Run normalise in threads as a role does."""
    stop, readiness = threading.Event(), Readiness()
    failures: list[BaseException] = []

    def work(normaliser: Normaliser) -> None:
        try:
            normaliser.run(stop, readiness)
        except BaseException as error:
            failures.append(error)

    made = lanes(KafkaSettings(bootstrap), MAPPING, [RAW_METRICS.name], [RAW_ALERTS.name], [RAW_CHANGES.name], instance)
    threads = [threading.Thread(target=work, args=(normaliser,)) for normaliser in made]
    for thread in threads:
        thread.start()
    try:
        yield readiness
    finally:
        stop.set()
        for thread in threads:
            thread.join(WITHIN_S)
        assert not any(thread.is_alive() for thread in threads)
    assert failures == []


@pytest.fixture
def broker(request: pytest.FixtureRequest, topics: Callable[[str], Any]) -> Iterator[Any]:
    """A broker of this test alone, with the catalogue's topics but `changes`."""
    found = request.getfixturevalue(request.param)
    topics(found.bootstrap).create(*(spec for spec in CATALOGUE if spec is not RAW_CHANGES))
    return found


@pytest.mark.parametrize("broker", ["fresh_embedded", "fresh_kafka"], indirect=True)
def test_all_three_formats_flow_bad_records_are_dead_lettered_and_a_missing_topic_is_read_once_it_is_there(
    broker: Any, topics: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(broker.bootstrap)
    produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(500)] + [b"broken", sample(1, "shoe_size")])
    produce(broker.bootstrap, RAW_METRICS.name, [b"x" * 10_000_000])
    with running(broker.bootstrap) as readiness:
        until(lambda: len(reader.rows()) == 500)
        assert "has no raw topic changes" in readiness.report()[1]["normalise-events"]
        assert readiness.report()[0]
        produce(broker.bootstrap, RAW_ALERTS.name, [alert()])
        until(lambda: len(reader.of(ALERTS.name)) == 1)

        topics(broker.bootstrap).create(RAW_CHANGES)
        produce(broker.bootstrap, RAW_CHANGES.name, [change()])
        until(lambda: len(reader.of(SIGNALS.name)) == 1)
        until(lambda: readiness.report() == (True, {"normalise": "ready", "normalise-events": "ready"}))
    until(lambda: len(reader.of(DLQ.name)) == 2)

    rows = reader.rows()
    assert sorted(value for _, _, _, value, _ in rows) == [float(number) for number in range(500)]
    assert len({(partition, offset) for _, partition, offset, _, _ in rows}) == 500
    short, long = sorted(reader.of(DLQ.name), key=lambda message: len(message.value()))
    assert {dict(letter.headers())["airra.error.reason"] for letter in (short, long)} == {b"unknown_format"}
    assert short.value() == b"broken"
    assert dict(long.headers())["airra.error.length"] == b"10000000"
    told = [one for message in reader.of(SERIES.name) for one in decode_series(message.value())]
    assert len([one for one in told if one.mapped]) == 20
    assert [one.metric for one in told if not one.mapped] == ["shoe_size"]
    monkeypatch.setenv("AIRRA_KAFKA_BOOTSTRAP", broker.bootstrap)
    (mapping,) = [one for one in diagnose(recent=0)["findings"] if one["what"] == "metrics mapping"]
    assert not mapping["ok"]
    assert mapping["detail"] == "1 series match no rule of config/metrics.yaml: shoe_size"


@pytest.mark.parametrize("broker", ["fresh_embedded", "fresh_kafka"], indirect=True)
def test_history_keeps_its_mark_and_an_enormous_header_stops_nothing(broker: Any) -> None:
    reader = Reader(broker.bootstrap)
    old = sample(1).replace(time.strftime("%Y").encode(), b"2021")
    produce(broker.bootstrap, RAW_METRICS.name, [sample(1)], partition=0)
    produce(broker.bootstrap, RAW_METRICS.name, [old, b"broken"], partition=0, headers=[(BACKFILL_HEADER, b"1")])
    produce(broker.bootstrap, RAW_METRICS.name, [b"broken too"], partition=0, headers=[("h", b"x" * 9_000_000)])
    produce(broker.bootstrap, RAW_METRICS.name, [sample(2), old], partition=0)
    with running(broker.bootstrap):
        until(lambda: len(reader.rows()) == 3 and len(reader.of(DLQ.name)) == 3)

    marked = {
        int(offset): BACKFILL_HEADER in dict(message.headers())
        for message in reader.of(SAMPLES.name, "samples")
        for offset in decode_batch(message.value()).offset
    }
    assert marked == {0: False, 1: True, 4: False}
    letters = {dict(message.headers())["airra.error.offset"]: dict(message.headers()) for message in reader.of(DLQ.name)}
    assert (BACKFILL_HEADER in letters[b"2"], letters[b"3"]["airra.error.truncated.parts"]) == (True, b"headers")
    assert letters[b"5"]["airra.error.reason"] == b"timestamp_out_of_range"


@pytest.mark.parametrize("broker", ["fresh_kafka"], indirect=True)
def test_what_was_committed_is_not_read_again_and_two_instances_share_the_partitions(broker: Any) -> None:
    reader = Reader(broker.bootstrap)
    produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(1000)])
    with running(broker.bootstrap):
        until(lambda: len(reader.rows()) == 1000)
    produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(1000, 2000)])
    with running(broker.bootstrap), running(broker.bootstrap, instance="1"):
        until(lambda: len(reader.rows()) >= 2000)
        produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(2000, 3000)])
        until(lambda: len({row[:3] for row in reader.rows()}) == 3000)

    rows = reader.rows()
    assert len(rows) == 3000  # moves between instances finish and commit first: nothing is repeated
    assert {row[3] for row in rows} == {float(number) for number in range(3000)}


@pytest.mark.parametrize("broker", ["fresh_kafka"], indirect=True)
def test_a_broker_that_restarts_costs_nothing(broker: Any) -> None:
    reader = Reader(broker.bootstrap)
    produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(300)])
    with running(broker.bootstrap):
        until(lambda: len(reader.rows()) == 300)
        broker.kill()
        broker.start()
        produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(300, 600)])
        until(lambda: len({row[:3] for row in reader.rows()}) == 600)

    assert {row[3] for row in reader.rows()} == {float(number) for number in range(600)}


KILLED = """
import sys, threading
sys.path[:0] = [{repo!r}, {here!r}]
from test_normalise_kafka import MAPPING, KafkaSettings, Normaliser, Readiness
Normaliser(KafkaSettings({bootstrap!r}), MAPPING, ["metrics"]).run(threading.Event(), Readiness())
"""


@pytest.mark.parametrize("broker", ["fresh_kafka"], indirect=True)
def test_after_kills_under_load_every_sample_is_there_and_the_high_water_mark_leaves_each_once(broker: Any) -> None:
    reader = Reader(broker.bootstrap)
    here = Path(__file__).parent
    code = KILLED.format(repo=str(here.parents[1]), here=str(here), bootstrap=broker.bootstrap)
    total = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", code])
        seen = len({row[:3] for row in reader.rows()})
        while len({row[:3] for row in reader.rows()}) < seen + 3_000:
            produce(broker.bootstrap, RAW_METRICS.name, [sample(number) for number in range(total, total + 2_000)])
            total += 2_000
        process.send_signal(signal.SIGKILL)
        process.wait(WITHIN_S)
    with running(broker.bootstrap):
        until(lambda: len({row[:3] for row in reader.rows()}) == total)

    marks: dict[tuple[str, int, int], int] = {}
    once = []
    for topic, partition, offset, value, destination in reader.rows():
        if offset > marks.get((topic, partition, destination), -1):
            marks[topic, partition, destination] = offset
            once.append(value)
    assert sorted(once) == [float(number) for number in range(total)]


def test_a_broker_that_is_not_there_is_named() -> None:
    normaliser = Normaliser(KafkaSettings("127.0.0.1:1"), MAPPING, ["metrics"], check_within_s=1.0)

    with pytest.raises(Fatal, match=r"no Kafka at 127\.0\.0\.1:1 .*check AIRRA_KAFKA_BOOTSTRAP"):
        normaliser.run(threading.Event(), Readiness())


def test_topics_of_the_catalogue_that_are_missing_are_named(fresh_embedded: Any) -> None:
    normaliser = Normaliser(KafkaSettings(fresh_embedded.bootstrap), MAPPING, ["metrics"])

    with pytest.raises(Fatal, match=r"has no topic airra\.alerts\.v1, .*run `airra topics create`"):
        normaliser.run(threading.Event(), Readiness())
