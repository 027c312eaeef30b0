"""History that a producer marked stays marked, apart from the live stream, and in the order of its offsets."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import TIMESTAMP_CREATE_TIME

from schemas.config.metrics import MetricsMapping
from schemas.samples import BATCH_HEADER, decode_sources
from schemas.topics import DLQ, SAMPLES
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Output
from streams.normalise.backfill import stretches
from streams.normalise.consumer import Normaliser
from streams.normalise.core import Core
from streams.normalise.fates import Reason
from streams.normalise.reading import read

NOW = 1_795_489_200_000
MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
LONG_AGO = b"2021-01-01T00:00:00Z"
TODAY = b"2026-11-24T03:00:00Z"


@dataclass
class FakeMessage:
    at: int
    marked: bool = False
    body: bytes | None = None
    other: bool = False

    def topic(self) -> str:
        return "metrics"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        when = LONG_AGO if self.marked else TODAY
        return self.body or b'{"labels":{"__name__":"up","service":"a"},"timestamp":"%s","value":"1"}' % when

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, NOW

    def headers(self) -> list[tuple[str, bytes]] | None:
        found = [(BACKFILL_HEADER, b"1")] * self.marked + [("traceparent", b"00")] * self.other
        return found or None


def taken(*messages: FakeMessage) -> list[Output]:
    """Do what the shell does with one partition's messages."""
    core = Core(MAPPING, 4, 4)
    made: list[Output] = []
    for stretch in stretches(read(messages)):  # type: ignore[arg-type]
        found = stretch.found
        one = core.take_samples(("metrics", 0), found.values, found.offsets, found.stamps, found.record, stretch.reach(NOW))
        made += stretch.marked(one.outputs)
    return made


def is_marked(output: Output) -> bool:
    return any(name == BACKFILL_HEADER for name, _ in output.headers)


def batches(outputs: list[Output]) -> list[tuple[int, int, bool]]:
    found = [output for output in outputs if output.topic == SAMPLES.name and dict(output.headers).get(BATCH_HEADER)]
    return [(source.first, source.last, is_marked(one)) for one in found for source in decode_sources(dict(one.headers)[BATCH_HEADER])]


def test_a_batch_never_mixes_history_and_the_live_stream() -> None:
    outputs = taken(FakeMessage(1), FakeMessage(2, other=True), FakeMessage(3, marked=True), FakeMessage(4, marked=True), FakeMessage(5))

    assert batches(outputs) == [(1, 2, False), (3, 4, True), (5, 5, False)]


def test_headers_stay_with_their_record_wherever_it_is_cut_off() -> None:
    messages = [FakeMessage(1, marked=True), FakeMessage(2, other=True), FakeMessage(3), FakeMessage(4, marked=True, other=True)]
    found = read(messages)  # type: ignore[arg-type]

    for begin in range(len(messages)):
        for end in range(begin, len(messages) + 1):
            part = found.part(begin, end)
            assert {part.offsets[index]: list(of) for index, of in part.headers.items()} == {
                one.at: one.headers() for one in messages[begin:end] if one.headers()
            }


def test_everything_that_comes_of_history_is_marked_once() -> None:
    outputs = taken(FakeMessage(1, marked=True), FakeMessage(2, marked=True, body=b"{"))

    assert outputs
    assert all(sum(name == BACKFILL_HEADER for name, _ in output.headers) == 1 for output in outputs)
    assert sum(output.topic == DLQ.name for output in outputs) == 1


def test_without_a_mark_old_samples_are_refused_and_nothing_is_marked() -> None:
    old = b'{"labels":{"__name__":"up","service":"a"},"timestamp":"%s","value":"1"}' % LONG_AGO
    outputs = taken(FakeMessage(1, body=old))

    assert [output.topic for output in outputs] == [DLQ.name]
    assert not is_marked(outputs[0])


def test_the_shell_holds_records_against_its_own_clock() -> None:
    def refused(now: int) -> list[Reason]:
        shell = Normaliser(KafkaSettings("127.0.0.1:1"), MAPPING, ["metrics"], wall=lambda: now / 1000)
        shell._core = Core(MAPPING, 4, 4)
        (stretch,) = stretches(read([FakeMessage(1)]))  # type: ignore[list-item]
        return shell._taken(("metrics", 0), stretch).refused

    assert refused(NOW) == []
    assert refused(NOW - 3_600_000) == refused(NOW + 30 * 86_400_000) == [Reason.TIMESTAMP_OUT_OF_RANGE]
