"""prometheus-kafka-adapter's messages as the real producer writes them, and every way in which one can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from schemas.config.metrics import MetricsMapping
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import BATCH_HEADER, SeriesDef, decode_batch, decode_series, decode_sources, series_id
from streams.harness.stage import Output, Record
from streams.normalise.core import Core, Taken
from streams.normalise.fates import Reason
from streams.normalise.times import Reach, of_history

REPO = Path(__file__).parents[2]
SHIPPED = MetricsMapping.model_validate(yaml.safe_load((REPO / "config" / "metrics.yaml").read_text()))
NOW = 1_795_489_200_000  # 2026-11-24T03:00:00Z
LIVE = Reach(NOW)

# Go's encoding/json sorts the keys: the bytes of the adapter's JSON serializer.
GOLDEN = (
    b'{"labels":{"__name__":"http_requests_total","instance":"127.0.0.1:1234","job":"shop","service":"gateway"},'
    b'"name":"http_requests_total","timestamp":"2026-11-24T03:00:00Z","value":"0.5"}'
)
# The same sample as the contract's example writes it.
CONTRACT = (
    b'{"timestamp":"2026-11-24T03:00:00Z","value":"0.5","name":"http_requests_total",'
    b'"labels":{"__name__":"http_requests_total","instance":"127.0.0.1:1234","job":"shop","service":"gateway"}}'
)


def message(name: str = "up", value: object = "1", timestamp: object = "2026-11-24T03:00:00Z", **labels: object) -> bytes:
    labels = {"__name__": name, "instance": "a:1", "service": "gateway"} | labels
    return json.dumps({"labels": labels, "name": name, "timestamp": timestamp, "value": value}).encode()


def take(*values: bytes | None, core: Core | None = None, stamp: int = NOW, reach: Reach = LIVE) -> Taken:
    def record(index: int) -> Record:
        return Record("metrics", 2, 100 + index, stamp, None, values[index] or b"")

    core = core or Core(SHIPPED, 4, 4)
    return core.take_samples(("metrics", 2), values, list(range(100, 100 + len(values))), [stamp] * len(values), record, reach)


def kind(output: Output) -> str:
    return dict(output.headers)["airra.type"].decode()


def batches(taken: Taken) -> list[Output]:
    return [output for output in taken.outputs if output.topic == "airra.samples.v1" and kind(output) == "samples"]


def definitions(taken: Taken) -> list[SeriesDef]:
    return [one for output in taken.outputs if output.topic == "airra.series.v1" for one in decode_series(output.value)]


def detail(taken: Taken) -> tuple[str, str]:
    letters = [dict(output.headers) for output in taken.outputs if output.topic == "airra.dlq.v1"]
    assert len(letters) == 1
    return letters[0]["airra.error.reason"].decode(), letters[0]["airra.error.detail"].decode()


@pytest.mark.parametrize("raw", [GOLDEN, CONTRACT])
def test_golden_bytes_become_one_row_and_one_definition(raw: bytes) -> None:
    taken = take(raw)

    labels = {"__name__": "http_requests_total", "instance": "127.0.0.1:1234", "job": "shop", "service": "gateway"}
    one = series_id(labels)
    assert definitions(taken) == [
        SeriesDef(
            id=one,
            service="gateway",
            instance="127.0.0.1:1234",
            metric="http_requests_total",
            kind=Kind.REQUESTS,
            type=MetricType.COUNTER,
            unit="requests",
            direction=Direction.NONE,
            group=one,
            labels=labels,
            source="metrics",
        )
    ]
    (output,) = batches(taken)
    batch = decode_batch(output.value)
    assert (batch.series.tolist(), batch.time.tolist(), batch.value.tolist(), batch.offset.tolist()) == ([one], [NOW], [0.5], [100])
    (source,) = decode_sources(dict(output.headers)[BATCH_HEADER])
    assert (source.topic, source.partition, source.first, source.last) == ("metrics", 2, 100, 100)
    assert taken.accepted == 1


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, Reason.NOT_JSON),
        (b"", Reason.NOT_JSON),
        (b"not json", Reason.UNKNOWN_FORMAT),
        (GOLDEN[:-5], Reason.NOT_JSON),
        (GOLDEN + b"{}", Reason.NOT_JSON),
        (GOLDEN.replace(b"shop", b"sh\xffop"), Reason.NOT_JSON),
        (b'{"labels":' + b"[" * 50_000, Reason.NOT_JSON),
        (b'{"labels":{},"value":"1"}', Reason.MISSING_FIELD),
        (b'{"labels":{"service":"a"},"value":"1","timestamp":"2026-11-24T03:00:00Z"}', Reason.MISSING_FIELD),
        (b"[]", Reason.UNKNOWN_FORMAT),
        (message(value=1), Reason.WRONG_TYPE),
        (message(value="one"), Reason.WRONG_TYPE),
        (message(value=None), Reason.WRONG_TYPE),
        (message(timestamp=1795489200), Reason.WRONG_TYPE),
        (message(timestamp="yesterday"), Reason.WRONG_TYPE),
        (message(timestamp="2026-13-24T03:00:00Z"), Reason.WRONG_TYPE),
        (message(code=200), Reason.WRONG_TYPE),
        (message(service="", instance=""), Reason.NO_SERVICE),
        (message(value="+Inf"), Reason.NOT_FINITE),
        (message(value="-Inf"), Reason.NOT_FINITE),
        (message(value="1e999"), Reason.NOT_FINITE),
        (message(value="1_000"), Reason.WRONG_TYPE),
        (message(value=" 1"), Reason.WRONG_TYPE),
        (message(value="1\n"), Reason.WRONG_TYPE),
        (message(value="١٢"), Reason.WRONG_TYPE),
        (message("shoe_size", value="4_3"), Reason.WRONG_TYPE),
        (message("http_request_duration_seconds_bucket", le="1_0"), Reason.WRONG_TYPE),
        (message("x" * 513), Reason.TOO_LARGE),
        (message(service="x" * 513), Reason.TOO_LARGE),
        (message("http_request_duration_seconds_bucket", le="NaN"), Reason.NOT_FINITE),
        (message("http_request_duration_seconds_bucket", le="1.7976931348623157e+308"), Reason.NOT_FINITE),
        (message("http_request_duration_seconds_bucket", le="-1e31"), Reason.NOT_FINITE),
        (message("http_request_duration_seconds_bucket", le="fast"), Reason.WRONG_TYPE),
        (message("http_request_duration_seconds_bucket"), Reason.MISSING_FIELD),
        (message(timestamp="2025-11-24T03:00:00Z"), Reason.TIMESTAMP_OUT_OF_RANGE),
        (message(timestamp="2027-11-24T03:00:00Z"), Reason.TIMESTAMP_OUT_OF_RANGE),
        (message(timestamp="0001-01-01T00:00:00Z"), Reason.TIMESTAMP_OUT_OF_RANGE),
        (b'{"labels":"' + b"x" * 70_000, Reason.TOO_LARGE),
    ],
)
def test_each_bad_message_has_its_reason_and_the_good_ones_beside_it_pass(raw: bytes | None, reason: Reason) -> None:
    taken = take(GOLDEN, raw, GOLDEN)

    assert taken.refused == [reason]
    assert taken.accepted == 2
    (output,) = batches(taken)
    assert decode_batch(output.value).offset.tolist() == [100, 102]
    (letter,) = [output for output in taken.outputs if output.topic == "airra.dlq.v1"]
    headers = dict(letter.headers)
    assert letter.value == (raw or b"")
    assert (headers["airra.error.reason"], headers["airra.error.offset"]) == (reason.encode(), b"101")


def test_the_refusal_of_a_bad_sample_says_what_is_wrong_with_it() -> None:
    assert detail(take(message(value="one"))) == ("wrong_type", "value 'one' is not a number")
    assert (
        detail(take(message(service="", instance="")))[1]
        == "up: none of the labels service, service_name, app, app_kubernetes_io_name, job"
    )


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T03:00:00Z", NOW),
        ("2026-11-24T03:00:00.25Z", NOW + 250),
        ("2026-11-24T03:00:00.123456789Z", NOW + 123),
        ("2026-11-24T05:30:00+02:30", NOW),
        ("2026-11-24T01:00:00-02:00", NOW),
        ("2026-11-24t03:00:00z", NOW),
    ],
)
def test_timestamps_in_every_spelling_of_rfc_3339(text: str, at: int) -> None:
    (output,) = batches(take(message(timestamp=text)))
    assert decode_batch(output.value).time.tolist() == [at]


def test_the_range_of_timestamps_ends_exactly_at_a_day_before_and_five_minutes_after_the_record() -> None:
    def accepted(stamp: int) -> int:
        return take(message(), stamp=stamp, reach=Reach(NOW + 86_400_000)).accepted

    assert accepted(NOW + 86_400_000) == 1
    assert accepted(NOW + 86_400_001) == 0
    assert accepted(NOW - 300_000) == 1
    assert accepted(NOW - 300_001) == 0
    assert accepted(0) == 1  # a record without a timestamp bounds nothing


def test_infinity_is_legitimate_as_the_last_bucket() -> None:
    taken = take(message("http_request_duration_seconds_bucket", le="+Inf"), message("http_request_duration_seconds_bucket", le="0.5"))

    assert taken.accepted == 2
    assert {(one.part, one.le) for one in definitions(taken)} == {("bucket", None), ("bucket", 0.5)}


def test_an_unknown_metric_is_counted_told_once_and_not_forwarded() -> None:
    core = Core(SHIPPED, 4, 4)

    taken = take(message("shoe_size", "43"), message("shoe_size", "44", instance="b:1"), message("shoe_size", "NaN"), GOLDEN, core=core)
    again = take(message("shoe_size", "43"), core=core)

    assert (taken.accepted, taken.unmapped, taken.empty, taken.refused) == (1, 2, 1, []), "what has no value is none of any metric"
    assert [one.metric for one in definitions(taken) if not one.mapped] == ["shoe_size"]
    assert (again.unmapped, again.outputs) == (1, [])


def test_what_an_unknown_series_is_called_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(SHIPPED, 4, 4)
    asked: list[int] = []
    meaning = core.cache.meaning
    monkeypatch.setattr(core.cache, "meaning", lambda slot: asked.append(slot) or meaning(slot))
    shoes = [message("shoe_size", "43", instance=f"{number}:1") for number in range(20)]
    for _ in range(3):
        assert take(*shoes, *shoes, core=core).unmapped == 40
    assert len(asked) == 20


def test_how_many_unknown_metrics_are_told_is_bounded() -> None:
    taken = take(*(message(f"shoe_size_{number}") for number in range(5_100)))

    assert taken.unmapped == 5_100
    assert len(definitions(taken)) == 5_000


def test_a_message_without_the_name_among_its_labels_takes_its_own() -> None:
    def nameless(name: str) -> bytes:
        return json.dumps({"labels": {"service": "a"}, "name": name, "timestamp": "2026-11-24T03:00:00Z", "value": "1"}).encode()

    taken = take(nameless("up"), nameless("go_goroutines"), nameless("up"))

    expected = [series_id({"__name__": name, "service": "a"}) for name in ("up", "go_goroutines", "up")]
    assert [one for output in batches(taken) for one in decode_batch(output.value).series.tolist()] == expected


def test_a_series_is_defined_before_its_first_rows_and_only_once() -> None:
    core = Core(SHIPPED, 4, 4)

    first = take(message(), message(service="orders"), core=core)
    second = take(message(), message(service="orders"), core=core)

    for destination in {output.partition for output in batches(first)}:
        told = [kind(output) for output in first.outputs if output.topic == "airra.samples.v1" and output.partition == destination]
        assert told == ["series", "samples"]
    assert [kind(output) for output in second.outputs] == ["samples"] * len(second.outputs)


def test_all_series_of_a_service_share_a_partition_and_keep_their_order() -> None:
    taken = take(*(message(service=f"s{number % 7}", instance=f"i{number}", value=str(number)) for number in range(200)))

    where: dict[int, int | None] = {}
    for output in batches(taken):
        batch = decode_batch(output.value)
        assert (np.diff(batch.offset) > 0).all()
        where |= dict.fromkeys(batch.offset.tolist(), output.partition)
    assert len(where) == 200
    assert all(len({where[100 + number] for number in range(service, 200, 7)}) == 1 for service in range(7))


def test_definitions_of_many_long_series_come_in_pieces_that_fit_a_record() -> None:
    taken = take(*(message(instance=f"i{number}", path="x" * 10_000) for number in range(100)))

    pieces = [output for output in taken.outputs if output.topic == "airra.samples.v1" and kind(output) == "series"]
    assert len(pieces) > 1
    assert max(len(output.value) for output in pieces) < 1_000_000
    assert sum(len(decode_series(output.value)) for output in pieces) == 100


YEAR = 365 * 86_400_000


@pytest.mark.parametrize("off", [-YEAR, YEAR, -8 * 86_400_000, 300_001])
def test_a_host_whose_clock_stamps_record_and_sample_alike_is_held_against_our_clock(off: int) -> None:
    taken = take(message(), stamp=NOW, reach=Reach(NOW - off))

    assert taken.refused == [Reason.TIMESTAMP_OUT_OF_RANGE]
    assert detail(taken)[1] == f"{NOW} ms, while its record was written at {NOW} ms and now is {NOW - off} ms"


@pytest.mark.parametrize("off", [-7 * 86_400_000, -3_600_000, 0, 300_000])
def test_a_backlog_of_up_to_a_week_and_a_clock_a_little_ahead_are_taken(off: int) -> None:
    assert take(message(), stamp=NOW, reach=Reach(NOW - off)).accepted == 1
    assert take(message(), stamp=0, reach=Reach(NOW - off)).accepted == 1


def test_a_record_stamped_in_the_future_is_refused_though_its_sample_is_not() -> None:
    assert take(message(), stamp=NOW + 300_001, reach=Reach(NOW)).refused == [Reason.TIMESTAMP_OUT_OF_RANGE]


def test_history_that_says_so_may_be_as_old_as_it_likes_but_no_newer_than_now() -> None:
    assert take(message(), stamp=NOW + YEAR, reach=of_history(NOW + YEAR)).accepted == 1
    assert take(message(), stamp=NOW, reach=of_history(NOW + YEAR)).accepted == 1
    assert take(message(), stamp=NOW, reach=of_history(NOW - YEAR)).refused == [Reason.TIMESTAMP_OUT_OF_RANGE]


@pytest.mark.parametrize("text", ["0", "-1", "+1", "1e-05", "1.5E+10", ".5", "5.", "1.7976931348623157e+308", "6.02214076e+23"])
def test_numbers_in_every_spelling_of_prometheus(text: str) -> None:
    (output,) = batches(take(message(value=text)))
    assert decode_batch(output.value).value.tolist() == [float(text)]


def test_texts_that_are_no_times_are_not_remembered_however_many_and_long() -> None:
    core = Core(SHIPPED, 4, 4)
    taken = take(
        *(message(timestamp=f"{number:05}" + "x" * 60_000) for number in range(20)), message(timestamp="2026-11-24T03:00:00z"), core=core
    )

    assert taken.refused == [Reason.WRONG_TYPE] * 20
    assert core.samples._time.cache_info().currsize == 1
    assert core.samples.times_evicted == 0


def test_long_metric_names_are_refused_and_names_beyond_the_memo_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.normalise.series.MAPPED_NAMES", 10)
    core = Core(SHIPPED, 4, 4)
    take(*(message(f"n{number}" + "x" * 30_000) for number in range(20)), core=core)
    assert core.resolver._hits == {}

    take(*(message(f"n{number}") for number in range(15)), core=core)
    assert (len(core.resolver._hits), core.resolver.forgotten) == (10, 5)


def test_unknown_metrics_that_the_doctor_is_not_told_of_are_counted() -> None:
    core = Core(SHIPPED, 4, 4)
    take(*(message(f"shoe_size_{number}") for number in range(5_100)), core=core)

    assert core.unknown.untold == 100


def test_crafted_labels_are_another_series() -> None:
    assert series_id({"__name__": "up", "z": "b\x1fzz\x1ec"}) != series_id({"__name__": "up", "z": "b", "zz": "c"})
