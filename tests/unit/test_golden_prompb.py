"""The field numbers of remote_write that AIRRA reads by are those of prompb, the definitions in the source of Prometheus 3.14 itself."""

from __future__ import annotations

import json

import pytest

from streams.normalise.formats import native_histogram, remote_write, remote_write_kernel
from streams.normalise.formats.wire import I64, LEN, VARINT, tag
from tests.golden.messages import says

WIRE = {"double": I64, "int64": VARINT, "uint64": VARINT, "uint32": VARINT, "sint32": VARINT, "MetricType": VARINT, "ResetHint": VARINT}


def number_of(version: str, message: str, field: str) -> int:
    """Return the tag of a field as Prometheus' own definitions have it (prompb of its source, by `python -m tests.golden.record prompb`)."""
    number, kind = json.loads(says("prompb", "fields.json"))[version][message][field]
    repeated, _, plain = kind.rpartition(" ")
    return tag(number, LEN if repeated and plain in WIRE else WIRE.get(plain, LEN))


def test_the_field_numbers_of_1_0_are_those_of_prometheus_own_definitions() -> None:
    kernel = remote_write_kernel

    assert number_of("1.0", "WriteRequest", "timeseries") == kernel._TIMESERIES == remote_write._TIMESERIES
    assert number_of("1.0", "WriteRequest", "metadata") == kernel._METADATA
    assert number_of("1.0", "TimeSeries", "labels") == kernel._LABEL == remote_write._LABELS
    assert number_of("1.0", "TimeSeries", "samples") == kernel._SAMPLE == remote_write._SAMPLES
    assert number_of("1.0", "TimeSeries", "exemplars") == kernel._EXEMPLAR
    assert number_of("1.0", "TimeSeries", "histograms") == remote_write._HISTOGRAMS
    assert number_of("1.0", "Sample", "value") == kernel._VALUE == remote_write._VALUE
    assert number_of("1.0", "Sample", "timestamp") == kernel._TIMESTAMP == remote_write._TIMESTAMP


def test_the_field_numbers_of_2_0_are_those_of_prometheus_own_definitions() -> None:
    assert number_of("2.0", "Request", "symbols") == remote_write._SYMBOLS_2
    assert number_of("2.0", "Request", "timeseries") == remote_write._TIMESERIES_2
    assert number_of("2.0", "TimeSeries", "labels_refs") == remote_write._REFS
    assert number_of("2.0", "TimeSeries", "samples") == remote_write._SAMPLES
    assert number_of("2.0", "TimeSeries", "histograms") == remote_write._HISTOGRAMS_2
    assert number_of("2.0", "TimeSeries", "metadata") == remote_write._METADATA
    assert number_of("2.0", "Metadata", "type") == remote_write._TYPE
    assert number_of("2.0", "Metadata", "unit_ref") == remote_write._UNIT_REF
    assert number_of("2.0", "Sample", "value") == remote_write._VALUE
    assert number_of("2.0", "Sample", "timestamp") == remote_write._TIMESTAMP


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_field_numbers_of_native_histograms_are_those_of_prometheus_own_definitions(version: str) -> None:
    one = native_histogram
    names = {
        "count_int": one._COUNT_INT, "count_float": one._COUNT_FLOAT, "sum": one._SUM, "schema": one._SCHEMA,
        "zero_threshold": one._ZERO_THRESHOLD, "zero_count_int": one._ZERO_INT, "zero_count_float": one._ZERO_FLOAT,
        "reset_hint": one._RESET_HINT, "timestamp": one._TIMESTAMP,
        "negative_spans": tag(one._NEGATIVE, LEN), "positive_spans": tag(one._POSITIVE, LEN), "custom_values": tag(one._CUSTOM_VALUES, LEN),
    }  # fmt: skip

    assert {name: number_of(version, "Histogram", name) for name in names} == names
    assert number_of(version, "BucketSpan", "offset") == one._OFFSET
    assert number_of(version, "BucketSpan", "length") == one._LENGTH
