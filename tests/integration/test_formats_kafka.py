"""Every format on a real Kafka, however it is packed; what a producer aborted is nobody's; remote_write from the API to rows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from confluent_kafka import Producer

from schemas import topics as names
from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.samples import decode_series
from schemas.topics import CATALOGUE, DLQ, RAW_METRICS, SERIES, WRITE
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.normalise.consumer import Normaliser
from streams.normalise.formats.catalogue import choice_of
from tests.api_serving import now, serving
from tests.integration.test_normalise_kafka import Reader, until
from tests.unit.otlp_messages import as_json, export, gauge, point, resource
from tests.unit.prometheus_messages import pack, request, series

MAPPING = MetricsMapping.model_validate(
    {"service_labels": ["service", "service_name"], "metrics": [{"match": "temperature*", "kind": "other"}]}
)
PACKINGS = ("none", "gzip", "snappy", "lz4", "zstd")


def records(at: int) -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    """One sample a record, each of another format; its value says which."""
    otlp = export(resource(gauge("temperature", point(2.0, time_unix_nano=at * 1_000_000)), labels={"service.name": "a"}))
    event = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/x"), ("ce_type", b"t")]
    return [
        (b"temperature,service=a now=1 %d" % (at * 1_000_000), []),
        (otlp, []),
        (as_json(otlp), []),
        (otlp, [*event, ("content-type", b"application/x-protobuf")]),
        (pack(request(series({"__name__": "temperature", "service": "a"}, (at, 3.0)))), [("airra.format", b"remote-write")]),
        (b'{"v": 4, "s": "a"}', [("x", b"y")]),
    ]


WANTED = [1.0, 2.0, 2.0, 2.0, 3.0]


@contextmanager
def normalising(kafka: KafkaSettings, topics: list[str], formats: dict[str, Any]) -> Iterator[None]:
    stop, failures = threading.Event(), []

    def work() -> None:
        try:
            normaliser.run(stop, Readiness())
        except BaseException as error:
            failures.append(error)

    normaliser = Normaliser(kafka, MAPPING, topics, choice=choice_of(FormatsMapping.model_validate({"topics": formats})))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert failures == []


@pytest.fixture
def kafka(request: pytest.FixtureRequest, topics: Callable[[str], Any], real_kafka: bool) -> KafkaSettings:
    broker = request.getfixturevalue("fresh_kafka" if real_kafka else "fresh_embedded")
    topics(broker.bootstrap).create(*CATALOGUE)
    return KafkaSettings(broker.bootstrap)


def test_every_format_in_every_packing_comes_out_and_what_was_aborted_does_not(fresh_kafka: Any, topics: Callable[[str], Any]) -> None:
    kafka = KafkaSettings(fresh_kafka.bootstrap)
    topics(kafka.bootstrap).create(*CATALOGUE)
    reader, at = Reader(kafka.bootstrap), int(time.time() * 1000)
    for packing in PACKINGS:
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": packing, "transactional.id": f"t-{packing}"})
        producer.init_transactions(30)
        for commit in (False, True):
            producer.begin_transaction()
            for value, headers in records(at):
                producer.produce(RAW_METRICS.name, value, headers=headers)
            producer.produce(RAW_METRICS.name, b"temperature,service=a now=99" if not commit else None, key=b"tombstone")
            producer.flush(30)
            producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    with normalising(kafka, [RAW_METRICS.name], {}):
        until(lambda: len(reader.rows()) == len(WANTED) * len(PACKINGS) and len(reader.of(DLQ.name)) == 2 * len(PACKINGS))
    assert sorted(row[3] for row in reader.rows()) == sorted(WANTED * len(PACKINGS))
    reasons = sorted(dict(message.headers())["airra.error.reason"] for message in reader.of(DLQ.name))
    assert reasons == sorted([b"unknown_format", b"not_json"] * len(PACKINGS))  # the team's own JSON, that nobody mapped; the tombstone


def test_a_teams_own_json_is_read_by_its_mapping(kafka: KafkaSettings) -> None:
    reader = Reader(kafka.bootstrap)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(RAW_METRICS.name, b'{"v": 4, "s": "a"}')
    assert producer.flush(30) == 0
    told = {"format": "json", "metrics": [{"name": "temperature", "value": "$.v"}], "labels": {"service": "$.s"}}
    with normalising(kafka, [RAW_METRICS.name], {RAW_METRICS.name: told}):
        until(lambda: [row[3] for row in reader.rows()] == [4.0])


async def test_what_prometheus_writes_to_the_api_becomes_rows_that_carry_its_name(kafka: KafkaSettings) -> None:
    reader, at = Reader(kafka.bootstrap), now()
    body = pack(request(series({"__name__": "temperature", "service": "a"}, (at, 5.0), (at + 1, 6.0))))
    async with (
        serving(kafka, writers={"prometheus-token": "prometheus-a"}) as running,
        httpx2.AsyncClient(base_url=running.server.url) as client,
    ):
        headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
        assert (await client.post("/api/v1/write", content=body, headers=headers)).status_code == 401
        answers = [
            await client.post("/api/v1/write", content=body, headers={**headers, "authorization": "Bearer prometheus-token"})
            for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [204, 204]
    with normalising(kafka, [WRITE.name], {}):
        await asyncio.to_thread(until, lambda: len(reader.rows()) == 4)
    assert {row[0] for row in reader.rows()} == {names.WRITE.name}
    assert sorted(row[3] for row in reader.rows()) == [5.0, 5.0, 6.0, 6.0]  # an answer that is lost repeats: detect takes a time once
    (told,) = [one for message in reader.of(SERIES.name) for one in decode_series(message.value())]
    assert told.source == "prometheus-a"
