"""remote_write as Prometheus 2.42 and 3.14 wrote it is what their own API says that they have (tests/golden/bytes/prometheus-*)."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from schemas.kinds import MetricType
from streams.normalise.by_batch import ByBatch
from streams.normalise.formats.catalogue import body, choice_of
from streams.normalise.formats.looks import remote_write as looks_like_it
from streams.normalise.formats.remote_write_count import Written, count, count_2
from streams.normalise.formats.wire import put
from streams.normalise.raw import Found, Raw, by_index
from tests.golden.messages import messages, says
from tests.unit.golden_reading import Labels, Seen, bare, by_stage, choose, labelled, read

ONE, TWO = "remote-write", "remote-write-2"
RECORDINGS = [("prometheus-2", ONE), ("prometheus-3", ONE), ("prometheus-3", TWO), ("prometheus-3-types", TWO)]
recorded = pytest.mark.parametrize(("producer", "recording"), RECORDINGS)
TYPES = {"counter": MetricType.COUNTER, "gauge": MetricType.GAUGE, "histogram": MetricType.HISTOGRAM}
ENDED = {"node", "peer"}  # jobs whose one target was ended in mid-run
MADE_BY_SCRAPING = ("up", "scrape_")  # series that go on when the target is gone

Told = tuple[Labels, int, float]


@cache
def seen(producer: str, recording: str) -> list[Seen]:
    return read(messages(producer, recording))[1]


@cache
def api(producer: str) -> list[tuple[Labels, list[Any], list[Any]]]:
    """Return series with the label that Prometheus adds for those outside, their samples, and their native histograms."""
    found = json.loads(says(producer, "api.json"))
    return [(labelled(**one["metric"], cluster="golden"), one.get("values", []), one.get("histograms", [])) for one in found]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def newest(producer: str) -> int:
    """Return when the API was asked: later samples it could not know."""
    return max(milliseconds(at) for _, values, histograms in api(producer) for at, _ in (*values, *histograms))


def numbers(producer: str) -> set[Told]:
    return {(labels, milliseconds(at), float(value)) for labels, values, _ in api(producer) for at, value in values if value != "NaN"}


def native(one: Seen, producer: str) -> bool:
    """Tell what was part of a native histogram: the series that the API knows under the name without what follows it."""
    base = {labels for labels, _, histograms in api(producer) if histograms}
    plain = one.name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
    return (
        one.name != plain
        and frozenset({("__name__", plain), *((name, value) for name, value in one.labels if name not in {"__name__", "le"})}) in base
    )


@recorded
def test_every_request_is_told_by_its_headers_and_without_them(producer: str, recording: str) -> None:
    sent = messages(producer, recording)

    assert read(sent)[0] == {recording: len(sent)}
    assert read(bare(sent))[0] == {recording: len(sent)}


@recorded
def test_names_labels_times_and_values_are_those_of_prometheus_itself(producer: str, recording: str) -> None:
    found = [one for one in seen(producer, recording) if not (one.ended or one.idle or native(one, producer))]
    told = {(one.labels, one.at, one.value) for one in found}
    until = newest(producer)

    assert len(told) == len(found)
    assert {one for one in told if one[1] <= until} == numbers(producer)


@recorded
def test_a_summary_that_nobody_fed_has_no_value(producer: str, recording: str) -> None:
    idle = {(labels, milliseconds(at)) for labels, values, _ in api(producer) for at, value in values if value == "NaN"}
    found = {(one.labels, one.at) for one in seen(producer, recording) if one.idle and one.at <= newest(producer)}

    assert found == idle
    assert bool(idle) == (producer == "prometheus-2")  # the others' summaries had all been fed


def downs(producer: str) -> dict[str, int]:
    """Return when each job that was ended was first found to be gone."""
    ups = {dict(labels)["job"]: values for labels, values, _ in api(producer) if ("__name__", "up") in labels}
    return {job: min(milliseconds(at) for at, value in ups[job] if value == "0") for job in ENDED}


@recorded
def test_each_series_of_a_target_that_was_ended_ends_once(producer: str, recording: str) -> None:
    names = {labels: dict(labels) for labels, _, _ in api(producer)}
    exported = {labels: one["job"] for labels, one in names.items() if not one["__name__"].startswith(MADE_BY_SCRAPING)}
    ends = [one for one in seen(producer, recording) if one.ended and not native(one, producer)]

    assert Counter((one.labels, one.at) for one in ends if one.of("job") in ENDED) == {
        (labels, downs(producer)[job]): 1 for labels, job in exported.items() if job in ENDED
    }
    assert len(ends) > 50
    assert {one.of("job") for one in ends} <= ENDED


@pytest.mark.parametrize("recording", [ONE, TWO])
def test_3_14_ends_a_native_histogram_by_a_float_of_its_bare_name(recording: str) -> None:
    """So its buckets, count and sum fall silent and are not ended, which docs/ingest.md says: no histogram comes with the marker in its sum."""
    found = [one for one in seen("prometheus-3", recording) if one.of("job") == "peer" and one.of("handler")]

    assert {one.name.removeprefix("prometheus_http_request_duration_seconds") for one in found if one.ended} == {""}
    assert {one.name.removeprefix("prometheus_http_request_duration_seconds") for one in found if not one.ended} == {
        "_bucket",
        "_count",
        "_sum",
    }


def test_classic_histograms_count_up_to_their_count() -> None:
    found = [one for one in seen("prometheus-2", ONE) if one.name.startswith("prometheus_http_request_duration_seconds") and not one.ended]
    counts = {(one.of("job"), one.of("handler"), one.at): one.value for one in found if one.name.endswith("_count")}
    infinite = {(one.of("job"), one.of("handler"), one.at): one.value for one in found if one.of("le") == "+Inf"}

    assert infinite == counts
    assert sum(counts.values()) > 0


@pytest.mark.parametrize("recording", [ONE, TWO])
def test_native_histograms_have_the_counts_of_prometheus_at_each_bound(recording: str) -> None:
    parts: dict[tuple[Labels, int], dict[str, float]] = {}
    for one in seen("prometheus-3", recording):
        if native(one, "prometheus-3"):
            assert one.type is MetricType.HISTOGRAM
            base = labelled(**{name: value for name, value in one.labels if name not in {"__name__", "le"}})
            parts.setdefault((base, one.at), {})[one.of("le") or one.name.rsplit("_", 1)[1]] = one.value
    # 1.0 has no place for buckets of one's own: Prometheus leaves them out there, and so the job whose histograms have them
    told = {
        (frozenset(labels - {("__name__", dict(labels)["__name__"])}), milliseconds(at)): content
        for labels, _, histograms in api("prometheus-3")
        for at, content in histograms
        if recording == TWO or ("job", "prometheus-custom") not in labels
    }

    assert {place for place in parts if place[1] <= newest("prometheus-3")} == set(told)
    assert {dict(labels)["job"] for labels, _ in told} - {"prometheus-custom"} == {"prometheus", "peer"}
    assert any(("job", "prometheus-custom") in labels for labels, _ in told) == (recording == TWO)
    for place, content in told.items():
        found = parts[place]
        assert (found.pop("count"), found.pop("sum")) == (float(content["count"]), float(content["sum"]))
        assert found["+Inf"] == float(content["count"])
        assert len(found) > 1
        for le, total in found.items():
            inside = [float(held) for _, _, upper, held in content["buckets"] if float(upper) <= float(le) * (1 + 1e-12)]
            assert total == sum(inside), le


def test_2_0_tells_the_types_that_prometheus_knows() -> None:
    known = json.loads(says("prometheus-3-types", "metadata.json"))
    checked: Counter[MetricType | None] = Counter()
    for one in seen("prometheus-3-types", TWO):
        plain = one.name
        for suffix in ("_bucket", "_count", "_sum"):
            plain = plain if plain in known else one.name.removesuffix(suffix)
        if one.name.startswith(MADE_BY_SCRAPING):
            assert one.type is None
            continue
        told = known[plain]
        summary = MetricType.GAUGE if one.name == plain else MetricType.COUNTER
        assert one.type == (summary if told == "summary" else TYPES[told]), one
        checked[one.type] += 1
    assert set(checked) == set(TYPES.values())


@recorded
def test_the_batch_reads_what_the_reader_of_single_records_reads(producer: str, recording: str) -> None:
    sent = messages(producer, recording)
    found, _ = by_stage(sent)
    single = [(index, one) for index, message in enumerate(sent) for one in read([message])[1]]
    valued = [(index, one.at, np.float64(one.value).tobytes()) for index, one in single if not one.idle]
    rows = found.rows

    assert set(found.formats.values()) == {recording}
    assert found.refusals.count == {}
    assert list(zip(rows.record.tolist(), rows.time.tolist(), map(np.float64.tobytes, rows.value), strict=True)) == valued
    assert len(set(rows.slot.tolist())) == len({one.labels for _, one in single if not one.idle})
    assert found.no_value.total() == sum(one.idle for _, one in single)


@pytest.mark.parametrize("producer", ["prometheus-2", "prometheus-3"])
def test_machine_code_takes_every_request_of_1_0_but_those_with_native_histograms(producer: str) -> None:
    sent = messages(producer, ONE)
    _, core = by_stage(sent)
    raw = Raw("metrics", [one.value for one in sent], [one.stamp for one in sent], by_index(one.headers for one in sent))

    left = ByBatch(core.cache, choice_of(choose()), lambda *_: b"\x00x\x00").read(raw, range(len(sent)), Found()).left

    assert sorted(left) == [index for index, one in enumerate(sent) if any(native(part, producer) for part in read([one])[1])]
    assert len(left) < len(sent)


@recorded
def test_the_door_counts_what_was_sent_and_finds_nothing_bad(producer: str, recording: str) -> None:
    counted = [(count if recording == ONE else count_2)(body(one.value, one.headers)) for one in messages(producer, recording)]
    found = seen(producer, recording)
    floats = [one for one in found if not native(one, producer)]
    natives = [one for one in found if native(one, producer) and one.of("le") == "+Inf"]

    assert {bad for _, bad in counted} == {None}
    assert sum(written.samples for written, _ in counted) == len(floats)
    assert sum(written.histograms for written, _ in counted) == len(natives)


def test_metadata_that_1_0_sends_between_the_series_is_taken_for_what_it_is() -> None:
    """Prometheus sends types and help texts in requests of their own; a relay's record of one is no dead letter, and has no sample."""
    (metadata,) = [one for one in messages("prometheus-2", ONE) if count(body(one.value, one.headers))[0] == Written(0)]

    assert read([metadata]) == ({ONE: 1}, [])
    assert read(bare([metadata])) == ({ONE: 1}, [])


@pytest.mark.parametrize(
    "body_",
    [
        put(3, put(2, b"")),
        put(3, put(4, b"help for nobody")),
        put(3, put(2, b"\xff\xfe")),
        put(3, put(2, b"up")) + put(2, b"more"),
        put(3, put(2, b"up") + put(7, b"more")),
    ],
)
def test_a_message_that_has_anything_but_metadata_is_not_taken_for_it(body_: bytes) -> None:
    assert looks_like_it(put(3, put(2, b"up")))
    assert not looks_like_it(body_)


def test_3_14_tells_no_type_by_2_0_whatever_its_flag_for_metadata_says() -> None:
    """Its main.go hands the flag to scraping and not to the store, whose log remote_write reads: a counter is told by the rule there."""
    assert {one.type for one in seen("prometheus-3", TWO) if not native(one, "prometheus-3")} == {None}
