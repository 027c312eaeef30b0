r"""InfluxDB's line protocol, version 1, as Telegraf's `data_format = "influx"` writes it.

cpu,host=web-1 usage_idle=91.5,procs=4i 1519194109000000042

A backslash escapes a comma and a space, and in the keys and values of tags and the keys of fields an equals sign too; before anything
else it is itself, also before another backslash. So `a\\,b` is `a\,b` and not the end of `a\`: Telegraf does not escape backslashes.
Whatever is quoted in a string field is no escape of those, but `\"` and `\\`.

A newline always ends a line, as the documentation has it: Telegraf writes one inside of a string as backslash and n. A string field is
no sample, and no error: it is left away. A point is read whole or not at all, as InfluxDB does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.keys import check_keys
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.telegraf_names import metric_name
from streams.normalise.numerals import parse_number
from streams.normalise.series import NAME

# Possessive: what was taken as escaped is never given back, and no hostile line is tried twice. No NUL: it parts a key.
_NAME = rb"(?:[^\\, \0]++|\\[, ]?+)++"
_WORD = rb"(?:[^\\,= \0]++|\\[,= ]?+)++"
_SERIES = re.compile(rb"(?P<measurement>%b)(?:,%b=%b)*+" % (_NAME, _WORD, _WORD))
_TAG = re.compile(rb",(%b)=(%b)" % (_WORD, _WORD))
_FIELD_KEY = re.compile(_WORD)
_FIELD = re.compile(rb'(%b)=("(?:[^"\\]++|\\.)*+"|[^, "][^, ]*+)' % _WORD)
_GAP = re.compile(rb" [ \t]*+")
_TIME = re.compile(rb"(?:[ \t]++(-?[0-9]{1,19}))?+[ \t]*+")
_ESCAPED_IN_NAME = re.compile(rb"\\([, ])")
_ESCAPED_IN_WORD = re.compile(rb"\\([,= ])")

_WHOLE = re.compile(rb"-?[0-9]{1,20}[iu]")
_BOUNDS = {b"i": (-(2**63), 2**63 - 1), b"u": (0, 2**64 - 1)}
_BOOLEANS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}
_LONGEST_NUMBER = 512  # Go writes the smallest double without an exponent, in 345 characters

_PART = b"\0"
_NANOSECONDS = 1_000_000  # in a millisecond


class InfluxLine:
    name = "influx"

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        """Return the samples line by line; Rejected where not one line could be read."""
        found: list[Sample | Rejection] = []
        first: Rejection | None = None
        points = 0
        for number, ended in enumerate(value.split(b"\n"), 1):
            line = ended.removesuffix(b"\r").lstrip(b" \t")
            if not line or line.startswith(b"#"):
                continue
            try:
                found += _point(line)
                points += 1
            except Rejected as refused:
                rejection = Rejection(refused.rejection.reason, f"line {number}: {refused.rejection.detail}")
                first = first or rejection
                found.append(rejection)
        if not points:
            first = first or Rejection(Reason.MISSING_FIELD, "a record without a line")
            raise Rejected(first.reason, first.detail)
        return found

    def describe(self, key: bytes) -> Described:
        series, _, field = key.partition(_PART)
        head = _SERIES.fullmatch(series)
        if head is None or _FIELD_KEY.fullmatch(field) is None:
            raise Rejected(Reason.WRONG_TYPE, f"{key[:64]!r} is no measurement, tags and field")
        measurement = head["measurement"]
        labels = {NAME: metric_name(_text(_ESCAPED_IN_NAME, measurement), _text(_ESCAPED_IN_WORD, field))}
        for tag, value in _TAG.findall(series, len(measurement)):
            label = _text(_ESCAPED_IN_WORD, tag)
            if label in labels:
                raise Rejected(Reason.WRONG_TYPE, f"two labels {label[:64]!r}")
            labels[label] = _text(_ESCAPED_IN_WORD, value)
        return Described(labels)


def _point(line: bytes) -> list[Sample]:
    head = _SERIES.match(line)
    if head is None:
        raise Rejected(Reason.MISSING_FIELD, f"no measurement in {line[:64]!r}")
    gap = _GAP.match(line, head.end())
    if gap is None:
        if head.end() == len(line):
            raise Rejected(Reason.MISSING_FIELD, f"no fields after {line[:64]!r}")
        raise Rejected(Reason.WRONG_TYPE, f"no tag and no field at {_near(line, head.end())}")
    fields, end = _fields(line, gap.end())
    check_keys(head.end(), len(fields))
    time = _TIME.fullmatch(line, end)
    if time is None:
        raise Rejected(Reason.WRONG_TYPE, f"no time in nanoseconds at {_near(line, end)}")
    at = None if time[1] is None else _milliseconds(int(time[1]))
    series = head[0] + _PART
    return [Sample(series + key, at, number) for key, number in fields]


def _fields(line: bytes, at: int) -> tuple[list[tuple[bytes, float]], int]:
    """Return the fields that are numbers from here on, and where the last field ends."""
    numbers = []
    while True:
        field = _FIELD.match(line, at)
        if field is None:
            if at == len(line):
                raise Rejected(Reason.MISSING_FIELD, "no field at the end of the line")
            raise Rejected(Reason.WRONG_TYPE, f"no field at {_near(line, at)}")
        key, value = field.groups()
        if not value.startswith(b'"'):
            numbers.append((key, _number(value)))
        at = field.end()
        if line[at : at + 1] != b",":
            return numbers, at
        at += 1


def _number(text: bytes) -> float:
    if (boolean := _BOOLEANS.get(text)) is not None:
        return boolean
    if text.endswith((b"i", b"u")):
        least, most = _BOUNDS[text[-1:]]
        if _WHOLE.fullmatch(text) and least <= (whole := int(text[:-1])) <= most:
            return float(whole)
    elif len(text) <= _LONGEST_NUMBER:
        try:
            return parse_number(text.decode("latin-1"))  # any bytes: what is no numeral is refused as such
        except ValueError:
            pass
    raise Rejected(Reason.WRONG_TYPE, f"value {text[:64]!r} is not a number")


def _milliseconds(nanoseconds: int) -> int:
    least, most = _BOUNDS[b"i"]
    if not least <= nanoseconds <= most:
        raise Rejected(Reason.WRONG_TYPE, f"time {nanoseconds} is beyond 64 bits")
    return nanoseconds // _NANOSECONDS


def _text(escaped: re.Pattern[bytes], raw: bytes) -> str:
    try:
        return escaped.sub(rb"\1", raw).decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.WRONG_TYPE, f"{raw[:64]!r} is not UTF-8") from None


def _near(line: bytes, at: int) -> str:
    return f"byte {at}: {line[at : at + 64]!r}"
