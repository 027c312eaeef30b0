"""How a record of each format looks: cheap tests that let no record of their format pass unseen, and few of others.

None is sure of itself: a team's own JSON may hold any word. Where two are likely, reading decides.
"""

from __future__ import annotations

from collections.abc import Callable

from streams.normalise.fates import Rejected
from streams.normalise.formats.remote_write import begins_packed, begins_with_tag, unpack
from streams.normalise.formats.wire import LEN, VARINT, fields, tag

Looks = Callable[[bytes], bool]

SPACE = b" \t\r\n"
NO_LINE = b'{["<\x7f'  # none of line protocol begins with one of these
TAGS = bytes(byte for byte in range(256) if begins_with_tag(bytes([byte])))
HEAD_BYTES = 4096  # of a line protocol's record, in which its first line begins;
LINE_BYTES = 4 * 65_536  # and the field of it: labels of 65,536 characters may stand before that
FIELDS = 3  # of a message that are looked at: agents write the common parts first
_ONE, _TWO, _THREE, _FOUR = tag(1, LEN), tag(2, LEN), tag(3, LEN), tag(4, LEN)
_OF_METADATA = {tag(1, VARINT), _TWO, _FOUR, tag(5, LEN)}  # type, name, help, unit


def word(begin: bytes, wanted: bytes) -> Looks:
    """Return the test for JSON that begins with this character and holds this word."""

    def look(value: bytes) -> bool:
        first = value[:1]
        if first in SPACE:  # also of no bytes at all
            first = value[:64].lstrip(SPACE)[:1]
        return first == begin and wanted in value

    return look


def any_of(*looks: Looks) -> Looks:
    def look(value: bytes) -> bool:
        return any(one(value) for one in looks)

    return look


def line(value: bytes) -> bool:
    """Look for printable text with a field, or a comment; a message of protobuf begins as an empty line does."""
    if value[:1] == b"\n" and (otlp(value) or _is_remote_write(value)):
        return False
    first = value[:HEAD_BYTES].lstrip(SPACE)[:1]
    if not first or first < b"!" or first in NO_LINE:
        return False
    return first == b"#" or (value.find(b"=", 0, LINE_BYTES) >= 0 and value.find(b" ", 0, LINE_BYTES) >= 0)


def otlp(value: bytes) -> bool:
    """Look for a resource's metrics, within them a scope's, within them one with a name."""
    return begins_with_tag(value) and _leads(value, 0, len(value), (_ONE, _TWO, _TWO, _ONE), _utf8)


def remote_write(value: bytes) -> bool:
    """Look for a series with a label that has a name, or for nothing but metadata, as it is or packed."""
    return _maybe_packed(value, _is_remote_write)


def remote_write_2(value: bytes) -> bool:
    """Look for symbols at the front."""
    return _maybe_packed(value, _is_remote_write_2)


def is_plain_remote_write(value: bytes) -> bool:
    """Tell whether a body was unpacked already."""
    return _unpacked(value) is None and _is_either(value)


def _is_either(body: bytes) -> bool:
    return _is_remote_write(body) or _is_remote_write_2(body)


def _is_remote_write(body: bytes) -> bool:
    return begins_with_tag(body) and (_leads(body, 0, len(body), (_ONE, _ONE, _ONE), _label_name) or _is_metadata(body))


def _is_metadata(body: bytes) -> bool:
    """Tell types and help texts, which Prometheus sends in requests of their own. All is looked at, for nothing of it is read."""
    if body[:1] != bytes([_THREE]):
        return False
    try:
        return all(field == _THREE and _is_of_a_metric(body, begin, end) for field, _, begin, end, _ in fields(body))
    except Rejected:
        return False


def _is_of_a_metric(body: bytes, start: int, end: int) -> bool:
    found = {field: body[begin:stop] for field, _, begin, stop, _ in fields(body, start, end)}
    name = found.get(_TWO, b"")
    return found.keys() <= _OF_METADATA and name != b"" and _utf8(name)


def _is_remote_write_2(body: bytes) -> bool:
    return body[:1] == bytes([_FOUR]) and _sound(body)


def _maybe_packed(value: bytes, is_one: Callable[[bytes], bool]) -> bool:
    return is_one(value if (body := _unpacked(value)) is None else body)


def _unpacked(value: bytes) -> bytes | None:
    """Return the body of what is packed. It comes first: packed bytes may be a sound message as they stand, too."""
    if not begins_packed(value):  # soon said of all text, and to raise is dear
        return None
    try:
        body = unpack(value)
    except Rejected:
        return None
    return body if _is_either(body) else None


def _leads(value: bytes, start: int, end: int, tags: tuple[int, ...], is_wanted: Callable[[bytes], bool]) -> bool:
    """Tell whether the first few fields lead down this way to something that is wanted and not empty."""
    if not tags:
        return start < end and is_wanted(value[start:end])
    try:
        found = [
            (begin, stop)
            for (field, _, begin, stop, _), _ in zip(fields(value, start, end), range(FIELDS), strict=False)
            if field == tags[0]
        ]
    except Rejected:
        return False
    return any(_leads(value, begin, stop, tags[1:], is_wanted) for begin, stop in found)


def _sound(value: bytes) -> bool:
    try:
        return all(True for _ in fields(value))
    except Rejected:
        return False


def _label_name(text: bytes) -> bool:
    """Tell a label's name from an attribute of OTLP's resource, which stands at its place and begins with a newline: the tag of its key."""
    return text[:1] != b"\n" and _utf8(text)


def _utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
