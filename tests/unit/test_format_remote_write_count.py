"""What the door of remote_write says is taken, against what normalise then does with the same bytes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.metrics import MetricsMapping
from streams.normalise.core import Core
from streams.normalise.fates import Reason, Rejected, SampleFate
from streams.normalise.formats import remote_write_count
from streams.normalise.formats.remote_write_count import Written, count, count_2
from streams.normalise.formats.staleness import STALE
from streams.normalise.formats.wire import put
from streams.normalise.times import LATEST_MS
from tests.unit.prometheus_messages import V1, V2, pack, request, request_2, series
from tests.unit.test_normalise_formats import take
from tests.unit.test_normalise_samples import NOW

UP = {"__name__": "up", "job": "shop"}
LABELS = [
    UP,
    {"__name__": "up", "empty": "", "job": "shop"},
    {"__name__": "n" * 512},
    {"__name__": "ü", "job": "größer"},
    {"__name__": "part", "job": '"\x07_bucket'},  # as the key of a native histogram's series ends
    {},
    {"job": "shop"},
    {"__name__": "", "job": "shop"},
    {"job": "shop", "__name__": "up"},
    {"__name__": "up", "": "nameless"},
    {"__name__": "n" * 513},
]
SOUND = LABELS[:5]
TIMES = [NOW, NOW - 1000, -1, LATEST_MS, -(2**63), 2**63 - 1]
BUCKETS: dict[str, Any] = {"count_int": 1, "sum": 1.0, "positive_spans": [{"offset": 0, "length": 1}], "positive_deltas": [1]}
POINTS = st.lists(st.tuples(st.sampled_from(TIMES), st.sampled_from([1.0, STALE])), max_size=3)
REQUESTS = st.lists(st.tuples(st.sampled_from(LABELS), POINTS), max_size=6)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_write_count, "_sound", set())


def second(*found: tuple[dict[str, str], dict[str, Any]]) -> bytes:
    """Return a request of 2.0: labels, and what else stands in each series."""
    symbols = list(dict.fromkeys(["", *(text for labels, _ in found for pair in labels.items() for text in pair)]))
    made = [
        V2["TimeSeries"](labels_refs=[symbols.index(text) for pair in labels.items() for text in pair], **more) for labels, more in found
    ]
    return request_2(symbols, *made)


def samples(*points: tuple[int, float]) -> dict[str, Any]:
    return {"samples": [{"timestamp": at, "value": value} for at, value in points]}


def refused_by_normalise(body: bytes, name: str) -> int:
    core = Core(MetricsMapping.model_validate({"metrics": [{"match": "nothing", "kind": "other"}]}), 1, 1)
    headers = (("airra.format", name.encode()), ("content-encoding", b"snappy"))  # as the door puts it on the topic
    return take(pack(body), core=core, headers=[headers]).samples[name, SampleFate.REFUSED]


@given(REQUESTS)
def test_the_door_refuses_the_samples_that_normalise_does(found: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    sent = sum(len(points) for _, points in found)
    one = request(*(series(labels, *points) for labels, points in found))
    two = second(*((labels, samples(*points)) for labels, points in found))
    # Something that is not read by columns stands in it: the reference reader has the same to say.
    slow = one + (request(V1["TimeSeries"](histograms=[{**BUCKETS, "timestamp": -1}])) if found else b"")

    written, why = count(one)
    refused = refused_by_normalise(one, "remote-write")

    assert (written.samples, written.refused) == (sent - refused, refused)
    assert (why is not None) == (refused > 0)
    assert count_2(two)[0] == written
    assert refused_by_normalise(two, "remote-write-2") == refused
    assert count(slow)[0] == written


@pytest.mark.parametrize("labels", [labels for labels in LABELS if labels not in SOUND])
def test_what_is_wrong_with_labels_is_said_each_time_they_come(labels: dict[str, str]) -> None:
    body = request(series(UP, (NOW, 1.0)), series(labels, (NOW, 1.0), (NOW + 1, 1.0)))
    first, second_ = count(body), count(body)
    assert first == second_
    assert first[0] == Written(1, refused=2)
    assert first[1] is not None
    assert first[1].reason in {Reason.MISSING_FIELD, Reason.WRONG_TYPE, Reason.TOO_LARGE}


def test_labels_are_described_once_for_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[bytes] = []
    inner = remote_write_count.describe
    monkeypatch.setattr(remote_write_count, "describe", lambda key: described.append(key) or inner(key))
    for number in range(3):
        count(request(*(series(labels, (NOW + number, 1.0), (NOW, 2.0)) for labels in SOUND)))
    assert len(described) == len(SOUND)


def test_what_is_known_of_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_write_count, "KNOWN_KEYS", 10)
    for number in range(100):
        count(request(series({"__name__": f"up{number}"}, (NOW, 1.0))))
        assert len(remote_write_count._sound) <= 10
    assert count(request(series({"__name__": "up0"}, (NOW, 1.0)))) == (Written(1), None)


def test_bad_labels_are_bad_with_no_value_too() -> None:
    """normalise passes a NaN over before it looks at what it is of; the specification forbids the series whatever it holds."""
    body = request(series({"job": "shop"}, (NOW, math.nan)))
    assert refused_by_normalise(body, "remote-write") == 0
    assert count(body)[0] == Written(0, refused=1)
    assert count(request(series(UP, (NOW, math.nan)))) == (Written(1), None)


@pytest.mark.parametrize(
    ("labels", "at", "good"),
    [(UP, NOW, 1), (UP, -1, 0), ({"job": "shop"}, NOW, 0), ({"__name__": "up", "le": "1"}, NOW, 0), ({"__name__": "n" * 506}, NOW, 0)],
)
def test_a_native_histogram_counts_once_and_with_all_of_its_series(labels: dict[str, str], at: int, good: int) -> None:
    """`le` and a long name are sound for some of its series, and not for its buckets."""
    bad = {"histograms": [{**BUCKETS, "timestamp": at}, {**BUCKETS, "timestamp": at}]}
    fine = {"histograms": [{**BUCKETS, "timestamp": NOW}]}
    one = request(V1["TimeSeries"](labels=[{"name": name, "value": value} for name, value in labels.items()], **bad))
    one += request(series(UP, (NOW, 1.0), histograms=tuple(V1["Histogram"](**each) for each in fine["histograms"])))
    two = second((labels, bad), (UP, samples((NOW, 1.0))), (UP, fine))
    for written, why in (count(one), count_2(two)):
        assert written == Written(1, 1 + 2 * good)
        assert (why is None) == bool(good)


def test_a_series_that_cannot_be_read_is_refused_with_all_that_is_in_it() -> None:
    broken = V2["TimeSeries"](labels_refs=[1, 99], **samples((NOW, 1.0), (NOW, 2.0)))
    broken.histograms.add(timestamp=NOW, **BUCKETS)
    good = V2["TimeSeries"](labels_refs=[1, 2], **samples((NOW, 1.0)))
    written, why = count_2(request_2(["", "__name__", "up"], broken, good))
    assert written == Written(1, refused=2)
    assert why is not None
    assert "symbol 99 of 3" in why.detail


@pytest.mark.parametrize(
    ("read", "body", "says"),
    [
        (count, second((UP, samples((NOW, 1.0)))), "fields of number 4, 5; it looks like io.prometheus.write.v2.Request"),
        (count_2, request(series(UP, (NOW, 1.0))), "fields of number 1; it looks like prometheus.WriteRequest"),
        (count, put(7, b"x") + put(9, b"y"), "nothing of prometheus.WriteRequest is in it, but fields of number 7, 9"),
    ],
)
def test_a_body_of_another_message_is_refused(read: Any, body: bytes, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        read(body)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (count, b""),
        (count_2, b""),
        (count, put(3, put(2, b"up"))),
        (count, put(3, put(2, b"up")) + put(7, b"what comes later")),
        (count_2, put(4, b"")),
        (count_2, put(4, b"") + put(9, b"what comes later")),
    ],
)
def test_a_body_without_series_is_sound_where_it_is_of_its_version(read: Any, body: bytes) -> None:
    assert read(body) == (Written(0), None)
