"""CloudEvents in Kafka records, by the examples of the specification: the envelope comes off."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.cloudevents import JSON, MAX_EVENTS, MAX_RECORD_BYTES, Inner, is_event, unwrap

STRUCTURED = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
BATCH = (("content-type", b"application/cloudevents-batch+json"),)
# Kafka Protocol Binding for CloudEvents 1.0.2, section 3.2.5
BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"com.example.someevent"),
    ("ce_source", b"/mycontext/subcontext"),
    ("ce_id", b"1234-1234-1234"),
    ("ce_time", b"2018-04-05T03:56:24Z"),
    ("content-type", b"application/avro"),
)
AT = 1_522_900_584_000
# JSON Event Format for CloudEvents 1.0.2, section 3.2
ATTRIBUTES = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "source": "/mycontext",
    "id": "A234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "comexampleextension1": "value",
    "comexampleothervalue": 5,
}
ATTRIBUTES_AT = 1_522_949_460_000


def event(**told: Any) -> bytes:
    return json.dumps({**ATTRIBUTES, **told}).encode()


def inner(value: bytes, headers: tuple[tuple[str, bytes], ...] = STRUCTURED) -> Inner:
    (one,) = unwrap(value, headers)
    assert isinstance(one, Inner)
    return one


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(each for each in BINARY if each[0] != name)


def rejection(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = STRUCTURED) -> Rejection:
    with pytest.raises(Rejected) as caught:
        unwrap(value, headers)
    return caught.value.rejection


# what an event is


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+json",
        b"Application/CloudEvents+JSON; charset=UTF-8",
        b"application/cloudevents-batch+json",
        b"application/cloudevents+avro",
    ],
)
def test_a_content_type_of_cloudevents_in_any_case_is_an_event(content_type: bytes) -> None:
    assert is_event((("content-type", content_type),))
    assert is_event((("Content-Type", content_type),))


def test_all_four_required_attributes_as_headers_are_an_event() -> None:
    assert is_event(BINARY)
    assert is_event(without("ce_time"))
    assert is_event(without("content-type"))


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_specversion", "ce_type"])
def test_a_record_that_lacks_a_required_header_is_no_event(name: str) -> None:
    assert not is_event(without(name))


def test_a_plain_record_is_no_event() -> None:
    assert not is_event(())
    assert not is_event((("content-type", b"application/json"),))


# binary


def test_the_binary_example_of_the_binding_is_its_value_as_it_stands() -> None:
    assert inner(b"\x00avro", BINARY) == Inner(b"\x00avro", "application/avro", "com.example.someevent", "/mycontext/subcontext", AT)


def test_a_binary_event_without_content_type_does_not_tell_its_format() -> None:
    assert inner(b"x", without("content-type")).content_type == ""


def test_a_binary_event_without_value_is_rejected() -> None:
    assert rejection(None, BINARY) == Rejection(Reason.MISSING_FIELD, "an event without data")


def test_a_header_that_is_not_utf8_is_rejected() -> None:
    assert rejection(b"x", (("ce_type", b"t"), *without("ce_type"), ("ce_type", b"\xff"))).detail == r"header ce_type: b'\xff' is not UTF-8"


def test_the_last_header_of_a_name_counts() -> None:
    assert inner(b"x", (*BINARY, ("ce_type", b"other"))).type == "other"


# structured


def test_data_that_is_json_is_handed_on_as_it_stands() -> None:
    value = event(datacontenttype="application/json").replace(
        b'"comexampleothervalue"', b'"data" : {"appinfoA" : "abc",  "appinfoB" : 123}, "x"'
    )
    assert inner(value) == Inner(
        b'{"appinfoA" : "abc",  "appinfoB" : 123}', "application/json", "com.example.someevent", "/mycontext", ATTRIBUTES_AT
    )


def test_a_text_of_another_format_is_its_content() -> None:
    found = inner(event(datacontenttype="application/xml", unsetextension=None, data='<much wow="xml"/>'))
    assert (found.value, found.content_type) == (b'<much wow="xml"/>', "application/xml")


def test_a_text_without_datacontenttype_is_a_json_text_with_its_quotes() -> None:
    found = inner(event(subject=None, data="I'm just a string"))
    assert (found.value, found.content_type) == (b'"I\'m just a string"', JSON)


@pytest.mark.parametrize("media", ["application/json", "text/json; charset=utf-8", "application/vnd.x+json", "Application/JSON"])
def test_a_text_under_a_json_media_type_stays_a_json_text(media: str) -> None:
    assert inner(event(datacontenttype=media, data="a")).value == b'"a"'


def test_data_in_base64_is_its_bytes() -> None:
    told = {"datacontenttype": "application/vnd.apache.thrift.binary", "data_base64": base64.b64encode(b"\x00\x01\xff").decode()}
    found = inner(event(**told))
    assert (found.value, found.content_type) == (b"\x00\x01\xff", "application/vnd.apache.thrift.binary")


def test_an_attribute_of_null_is_unset() -> None:
    found = inner(event(time=None, datacontenttype=None, data_base64=None, data=1))
    assert (found.time, found.content_type, found.value) == (None, JSON, b"1")


def test_data_of_null_is_data() -> None:
    assert inner(event(data=None)).value == b"null"


def test_data_of_null_beside_data_in_base64_says_nothing() -> None:
    assert inner(event(data=None, data_base64="YQ==")).value == b"a"


@pytest.mark.parametrize(
    ("told", "reason", "says"),
    [
        ({"data_base64": "a?=="}, Reason.WRONG_TYPE, "data_base64 'a?=='"),
        ({"data_base64": "YQ"}, Reason.WRONG_TYPE, "data_base64 'YQ'"),
        ({"data_base64": "ü"}, Reason.WRONG_TYPE, "data_base64 'ü'"),
        ({"data_base64": "YQ==", "data": 1}, Reason.WRONG_TYPE, "both data and data_base64"),
        ({}, Reason.MISSING_FIELD, "an event without data"),
        ({"data": {"a": 1}, "datacontenttype": "text/xml"}, Reason.WRONG_TYPE, "data is no text, while datacontenttype is 'text/xml'"),
        ({"data": 1, "time": "noon"}, Reason.WRONG_TYPE, "time 'noon' is not RFC 3339"),
        ({"data": 1, "id": None}, Reason.MISSING_FIELD, "an event without id"),
        ({"data": 1, "source": ""}, Reason.MISSING_FIELD, "an event without source"),
        ({"data": 1, "type": 5}, Reason.WRONG_TYPE, "$.type"),
        ({"data": 1, "specversion": "0.3"}, Reason.WRONG_TYPE, "specversion '0.3', while 1.x is read"),
        ({"data": 1, "specversion": "2.0", "id": None}, Reason.WRONG_TYPE, "specversion '2.0'"),
        ({"data": 1, "specversion": "1"}, Reason.WRONG_TYPE, "specversion '1'"),
    ],
)
def test_what_breaks_the_specification_is_rejected_with_what_does(told: dict[str, Any], reason: Reason, says: str) -> None:
    found = rejection(event(**told))
    assert found.reason is reason
    assert says in found.detail


def test_another_version_in_headers_is_rejected_with_which() -> None:
    assert rejection(b"x", (*BINARY, ("ce_specversion", b"0.3"))).detail == "CloudEvents of specversion '0.3', while 1.x is read"


def test_a_later_minor_version_is_read() -> None:
    assert inner(event(specversion="1.1", data=1)).value == b"1"


def test_an_event_format_other_than_json_is_rejected_with_which() -> None:
    assert "'application/cloudevents+avro'" in rejection(b"x", (("content-type", b"application/cloudevents+avro"),)).detail


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000, None])
def test_what_is_no_json_event_is_rejected(value: bytes | None) -> None:
    assert rejection(value).reason in {Reason.NOT_JSON, Reason.WRONG_TYPE}


# batches


def test_the_batch_example_of_the_specification_is_two_events() -> None:
    first = {**ATTRIBUTES, "source": "/mycontext/4", "datacontenttype": "application/vnd.apache.thrift.binary", "data_base64": "AAE="}
    second = {
        **ATTRIBUTES,
        "source": "/mycontext/9",
        "type": "com.example.someotherevent",
        "datacontenttype": "application/json",
        "data": {"appinfoC": True},
    }
    assert unwrap(json.dumps([first, second]).encode(), BATCH) == [
        Inner(b"\x00\x01", "application/vnd.apache.thrift.binary", "com.example.someevent", "/mycontext/4", ATTRIBUTES_AT),
        Inner(b'{"appinfoC": true}', "application/json", "com.example.someotherevent", "/mycontext/9", ATTRIBUTES_AT),
    ]


def test_an_empty_batch_holds_nothing() -> None:
    assert unwrap(b"[]", BATCH) == []


def test_an_event_of_a_batch_that_cannot_be_read_is_a_rejection_in_its_place() -> None:
    found = unwrap(b"[%s, 5, %s]" % (event(data=1), event(data=2, specversion="3.0")), BATCH)
    assert [type(one) for one in found] == [Inner, Rejection, Rejection]


# bounds


def test_a_batch_of_too_many_events_is_rejected_as_a_whole() -> None:
    assert len(unwrap(json.dumps([5] * MAX_EVENTS).encode(), BATCH)) == MAX_EVENTS
    assert rejection(json.dumps([5] * (MAX_EVENTS + 1)).encode(), BATCH).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("headers", [STRUCTURED, BATCH, BINARY])
def test_a_record_that_is_too_long_is_rejected(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert rejection(b" " * (MAX_RECORD_BYTES + 1), headers).reason is Reason.TOO_LARGE


def test_a_reason_is_short_however_long_what_is_wrong_is() -> None:
    for told in (
        {"time": "x" * 10_000},
        {"specversion": "x" * 10_000},
        {"data_base64": "?" * 10_000},
        {"data": 1, "datacontenttype": "x" * 10_000},
    ):
        assert len(rejection(event(**told)).detail) < 300
    assert len(rejection(b"x", (*BINARY, ("ce_type", b"\xff" * 10_000))).detail) < 300
