"""A line of InfluxDB's protocol means what its documentation says; one that breaks it takes no other with it."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.influx_line import InfluxLine
from streams.normalise.formats.keys import KEYS_BYTES
from streams.normalise.formats.port import Format, Sample

FORMAT: Format = InfluxLine()


def samples(record: bytes) -> list[Sample]:
    found = list(FORMAT.read(record))
    assert all(isinstance(one, Sample) for one in found), found
    return [one for one in found if isinstance(one, Sample)]


def read(record: bytes) -> list[tuple[dict[str, str], int | None, float]]:
    return [(FORMAT.describe(one.key).labels, one.at, one.value) for one in samples(record)]


def refused(record: bytes) -> Rejection:
    with pytest.raises(Rejected) as caught:
        FORMAT.read(record)
    return caught.value.rejection


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"cpu value=42 0\n", [({"__name__": "cpu"}, 0, 42.0)]),
        (b"cpu,cpu=CPU0,host=localhost value=42 0\n", [({"__name__": "cpu", "cpu": "CPU0", "host": "localhost"}, 0, 42.0)]),
        (b"cpu x=42,y=43i 0\n", [({"__name__": "cpu_x"}, 0, 42.0), ({"__name__": "cpu_y"}, 0, 43.0)]),
        (b"cpu value=18446744073709551615u 0\n", [({"__name__": "cpu"}, 0, 18446744073709551615.0)]),
        (b"cpu value=42 1519194109000000042\n", [({"__name__": "cpu"}, 1519194109000, 42.0)]),
        (b"c\\npu value=42i 0\n", [({"__name__": "c\\npu"}, 0, 42.0)]),
        (b"cpu,host=x\\ny value=42i 0\n", [({"__name__": "cpu", "host": "x\\ny"}, 0, 42.0)]),
        (b'cpu value="x\\ny" 0\n', []),
    ],
)
def test_what_telegraf_writes_by_its_own_tests_is_read(record: bytes, expected: list[object]) -> None:
    assert read(record) == expected


def test_the_point_with_special_characters_of_the_documentation_is_read() -> None:
    record = (
        '"measurement\\ with\\ quo⚡️es\\ and\\ emoji",tag\\ key\\ with\\ sp🚀ces=tag\\,value\\,with"commas" '
        'field_k\\ey=1,text="string field value, only \\" need be esc🍭ped"'
    )

    assert read(record.encode()) == [
        (
            {"__name__": '"measurement with quo⚡️es and emoji"_field_k\\ey', "tag key with sp🚀ces": 'tag,value,with"commas"'},
            None,
            1.0,
        )
    ]


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        (rb"a\,b x=1", {"__name__": "a,b_x"}),
        (rb"a\ b x=1", {"__name__": "a b_x"}),
        (rb"a=b x=1", {"__name__": "a=b_x"}),
        (rb"a\=b x=1", {"__name__": r"a\=b_x"}),
        (rb"a\\,b x=1", {"__name__": r"a\,b_x"}),
        (rb"m,k\,a=v x=1", {"__name__": "m_x", "k,a": "v"}),
        (rb"m,k\=a=v x=1", {"__name__": "m_x", "k=a": "v"}),
        (rb"m,k\ a=v x=1", {"__name__": "m_x", "k a": "v"}),
        (rb"m,k=v\,a x=1", {"__name__": "m_x", "k": "v,a"}),
        (rb"m,k=v\=a x=1", {"__name__": "m_x", "k": "v=a"}),
        (rb"m,k=v\ a x=1", {"__name__": "m_x", "k": "v a"}),
        (rb"m,k=v\a x=1", {"__name__": "m_x", "k": r"v\a"}),
        (rb"m,k=v\\,a x=1", {"__name__": "m_x", "k": r"v\,a"}),
        (rb"m,k=v\\\ a x=1", {"__name__": "m_x", "k": r"v\\ a"}),
        (rb'm,k="v\" x=1', {"__name__": "m_x", "k": r'"v\"'}),
        (rb"m a\,b=1", {"__name__": "m_a,b"}),
        (rb"m a\=b=1", {"__name__": "m_a=b"}),
        (rb"m a\ b=1", {"__name__": "m_a b"}),
        (rb"m a\b=1", {"__name__": r"m_a\b"}),
    ],
)
def test_a_backslash_escapes_what_the_documentation_lists_and_is_itself_elsewhere(line: bytes, labels: dict[str, str]) -> None:
    assert read(line) == [(labels, None, 1.0)]


@pytest.mark.parametrize(
    "text", [rb'""', rb'"a,b=c d"', rb'"\""', rb'"\\"', rb'"\\\" , x=9"', rb'"\a"', b'"\0"', '"ü"'.encode(), rb'"true"', b'"\xff"']
)
def test_a_string_field_is_left_away_and_what_follows_is_read(text: bytes) -> None:
    assert read(b"m s=" + text + b",x=1 5000000") == [({"__name__": "m_x"}, 5, 1.0)]


def test_a_line_of_nothing_but_strings_is_read_and_gives_nothing() -> None:
    assert read(b'm s="a"') == []


@pytest.mark.parametrize("text", [b"t", b"T", b"true", b"True", b"TRUE"])
def test_true_is_one(text: bytes) -> None:
    assert [one.value for one in samples(b"m x=" + text)] == [1.0]


@pytest.mark.parametrize("text", [b"f", b"F", b"false", b"False", b"FALSE"])
def test_false_is_zero(text: bytes) -> None:
    assert [one.value for one in samples(b"m x=" + text)] == [0.0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1.e+78", 1e78),
        (b"1.E+78", 1e78),
        (b"-1.234456e+78", -1.234456e78),
        (b".5", 0.5),
        (b"-9223372036854775808i", -(2.0**63)),
        (b"9223372036854775807i", 2.0**63),
        (b"0u", 0.0),
        (b"1e999", math.inf),
        (b"-Inf", -math.inf),
        (b"0." + b"0" * 323 + b"5", 5e-324),
    ],
)
def test_a_number_is_read_and_an_infinite_one_passed_on(text: bytes, value: float) -> None:
    assert [one.value for one in samples(b"m x=" + text)] == [value]


def test_a_number_that_is_none_is_passed_on() -> None:
    assert math.isnan(samples(b"m x=NaN")[0].value)


@pytest.mark.parametrize(
    "text",
    [
        *(b"1_0", b"0x1p1", "٣".encode(), b"1i0", b"1.5i", b"1.5u", b"-1u", b"i", b"tRUE", b"TRue", b"yes", b"'a'", b'1"', b"\xff"),
        *(b"9223372036854775808i", b"-9223372036854775809i", b"18446744073709551616u", b"1\t5", b"1" * 513, b"1_" + b"1" * 100_000),
    ],
)
def test_a_value_of_no_type_refuses_its_line(text: bytes) -> None:
    assert refused(b"m x=" + text).reason is Reason.WRONG_TYPE


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (b"", None),
        (b" ", None),
        (b" 1465839830100400200", 1465839830100),
        (b"  1465839830100400200 ", 1465839830100),
        (b" -1", -1),
        (b" -1000000", -1),
        (b" -9223372036854775806", -9223372036855),
        (b" 9223372036854775806", 9223372036854),
    ],
)
def test_a_time_in_nanoseconds_is_cut_to_the_millisecond_and_may_be_absent(text: bytes, at: int | None) -> None:
    assert [one.at for one in samples(b"m x=1" + text)] == [at]


@pytest.mark.parametrize(
    "text", [b'"1466625759000000000"', b"1.5", b"+1", b"1e9", b"1 2", b"9223372036854775808", b"-9223372036854775809", b"1" * 20, b"1_0"]
)
def test_a_time_that_is_no_64_bits_refuses_its_line(text: bytes) -> None:
    assert refused(b"m x=1 " + text).reason is Reason.WRONG_TYPE


@pytest.mark.parametrize("line", [b",k=v x=1", b"m", b"m,k=v", b"m ", b"m x=1,", b"=x"])
def test_a_line_that_lacks_something_says_so(line: bytes) -> None:
    assert refused(line).reason is Reason.MISSING_FIELD


@pytest.mark.parametrize(
    "line",
    [
        *(b"m,k x=1", b"m,k= x=1", b"m,=v x=1", b"m,,k=v x=1", b"m,k=v=w x=1", b"m x", b"m x=", b"m =1", b"m x=,y=1", b"m x=1,,y=1"),
        *(b'm x="a', b'm x="a"b', b"m x=1 y=1", b"m\0n x=1", b"m,k\0=v x=1", b"m x\0y=1", rb"m,k=v\ x=1 5", b'm x="a"5'),
    ],
)
def test_a_line_that_breaks_the_form_is_refused(line: bytes) -> None:
    assert refused(line).reason is Reason.WRONG_TYPE


def test_lines_are_read_in_their_order_past_comments_blank_lines_and_bad_ones() -> None:
    found = list(FORMAT.read(b'# a comment=1\r\n\r\nb y=2,x=1\r\n\t \nbad,\n  a z="1",z=3\r\n c z=1,w=\n#'))

    keys = [one.key if isinstance(one, Sample) else one.detail.split(":")[0] for one in found]
    assert keys == [b"b\0y", b"b\0x", "line 5", b"a\0z", "line 7"]


def test_a_bad_field_takes_its_whole_line_and_no_other() -> None:
    found = list(FORMAT.read(b"m a=1,b=x,c=3\nm a=2"))

    assert found == [Rejection(Reason.WRONG_TYPE, "line 1: value b'x' is not a number"), Sample(b"m\0a", None, 2.0)]


@pytest.mark.parametrize("record", [b"", b"\n\r\n", b"# only a comment", b" \t"])
def test_a_record_without_a_line_is_refused(record: bytes) -> None:
    assert refused(record) == Rejection(Reason.MISSING_FIELD, "a record without a line")


def test_a_record_without_a_readable_line_is_refused_for_its_first() -> None:
    assert refused(b"#\n{}\nm x=").detail.startswith("line 2: no fields after b'{}'")


def test_the_key_is_the_text_as_it_stands() -> None:
    assert samples(rb"m\ n,b=1,a=\,  x\=y=1 5")[0].key == rb"m\ n,b=1,a=\," + b"\0" + rb"x\=y"


@pytest.mark.parametrize("key", [b"m,a=1,a=2\0x", rb"m,a\,=1,b=1,a\,=2" + b"\0x", b"m,__name__=n\0x"])
def test_two_labels_of_one_name_mean_nothing(key: bytes) -> None:
    with pytest.raises(Rejected, match="two labels"):
        FORMAT.describe(key)


@pytest.mark.parametrize("key", [b"", b"m", b"m\0", b"\0x", b"m\0x\0y", b"m,a\0x", b"m x\0y", b"m\0x y", b"m\xff\0x", b"m,k=\xff\0x"])
def test_what_is_no_key_means_nothing(key: bytes) -> None:
    with pytest.raises(Rejected):
        FORMAT.describe(key)


def test_the_wire_tells_no_type() -> None:
    described = FORMAT.describe(b"m\0counter")

    assert (described.type, described.delta, described.unit) == (None, False, "")


def test_many_fields_with_long_tags_are_refused_before_their_keys_are_made() -> None:
    tag = b"x" * 1000
    fields = KEYS_BYTES // 1004
    wide = b"m,k=" + tag + b" " + b",".join([b"x=1"] * fields)

    assert len(samples(wide)) == fields
    assert refused(wide + b",x=1").reason is Reason.TOO_LARGE


@pytest.mark.parametrize("text", [b"\\", b"\\,", b",k=v", b'"', b"=", b" ", b"x=", b'\\"', b"m,k=v\\"])
def test_a_hostile_line_takes_no_time_of_its_square(text: bytes) -> None:
    begun = time.perf_counter()
    for record in (text * 100_000, b"m " + text * 100_000, b'm x="' + text * 100_000, b"m x=1" + text * 100_000):
        with suppress(Rejected):
            samples(record)

    assert time.perf_counter() - begun < 5  # a square would be hours
