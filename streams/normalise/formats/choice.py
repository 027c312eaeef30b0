"""Which format a record is in: its topic's setting, else what its headers say, else how it looks.

Looking is in the fixed order of the candidates. Of each a cheap test says whether a record may be of it, and reading decides among those:
the first that reads the record has it. No format bears a mark that no record of another may bear, so nothing is remembered from record to
record; a busy topic is best named in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from traceback import extract_tb
from typing import NamedTuple

import msgspec

from streams.harness.stage import Headers
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.cloudevents import Inner, is_event, media_of, text_of, unwrap
from streams.normalise.formats.documents import SHOWN_CHARS
from streams.normalise.formats.harvest import MAX_ITEMS, too_many
from streams.normalise.formats.port import Format, Sample
from streams.normalise.jsons import decode

REASON_CHARS = 160  # of one format's, in the reason that lists them all
FORMAT_HEADER = "airra.format"  # of a record: the name of its format
JSON_BYTES = 65_536  # of a record that no format knows: longer ones are not read to find out why
REASONS_CHARS = 1_500  # of them all: a dead letter is read by people

UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)  # what bytes can bring about in a reader

_ANY = msgspec.json.Decoder()


ANY = bytes(range(256))


def as_it_stands(value: bytes, headers: Headers) -> bytes:
    del headers
    return value


@dataclass(frozen=True, slots=True)
class Candidate:
    """A format, and how its records are told from others'."""

    format: Format
    may_be: Callable[[bytes], bool]  # whether a record looks as if it were of it
    media_types: frozenset[str] = frozenset()  # lower case, that name this format and are not as wide as application/json
    reframe: Callable[[bytes, Headers], bytes] = as_it_stands  # for what a format keeps in headers of its own
    begins: bytes = ANY  # the bytes that a record of it may begin with: no other is looked at
    no_value: bool = False  # a value that is not a number says that there is none: a summary that nobody fed, a gauge nobody set


@dataclass(frozen=True, slots=True)
class Read:
    """The samples of one record, or of one event of it, by the format whose `describe` knows their keys."""

    candidate: Candidate
    found: list[Sample | Rejection]

    @property
    def format(self) -> Format:
        return self.candidate.format


class Look(NamedTuple):
    """What a plain record may be."""

    among: Sequence[Candidate]  # that were looked at
    likely: Sequence[Candidate]  # of them, in their order
    declared: bool = False  # by its content-type: if it is none of these, why not is asked of each

    @property
    def only(self) -> Candidate | None:
        """The one format that it can be of; None where reading has to decide."""
        return self.likely[0] if len(self.likely) == 1 else None


@dataclass(slots=True)
class Choice:
    """Reads any record."""

    candidates: Sequence[Candidate]  # in the order of looking
    topics: Mapping[str, Candidate]  # as the configuration names them
    _by_first: list[list[Candidate]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._by_first = [[one for one in self.candidates if first in one.begins] for first in ANY]

    def read(self, topic: str, value: bytes, headers: Headers, look: Look | None = None) -> list[Read | Rejection]:
        """Return one Read for a plain record, one or a Rejection for each event of a CloudEvents record.

        `look` is what `look` gave for it, where it was asked. Raises Rejected where nothing of the record can be read; Retryable only
        where a format does.
        """
        if look is not None or not is_event(headers):
            return [_first(look or self.look(topic, value, headers), value, headers)]
        inners = unwrap(value, headers)
        if len(inners) == 1 and isinstance(inners[0], Inner):
            return [self._event(topic, inners[0], headers)]
        found: list[Read | Rejection] = []
        count = 0
        for inner in inners:
            try:
                found.append(self._event(topic, inner, headers) if isinstance(inner, Inner) else inner)
            except Rejected as refused:
                found.append(refused.rejection)
            count += len(one.found) if isinstance(one := found[-1], Read) else 1
            if count > MAX_ITEMS:
                raise too_many()
        return found

    def _event(self, topic: str, inner: Inner, headers: Headers) -> Read:
        read = _first(self.look(topic, inner.value, headers, inner.content_type), inner.value, headers)
        if inner.time is None:
            return read
        return Read(read.candidate, [_timed(one, inner.time) for one in read.found])

    def told(self, topic: str, headers: Headers) -> Candidate | None:
        """Return the format that a topic's setting names, or a record's own header; raise Rejected for a header that names none."""
        if (told := self.topics.get(topic)) is not None:
            return told
        name = text_of(headers, FORMAT_HEADER)
        if name is None:
            return None
        for one in self.candidates:
            if one.format.name == name:
                return one
        raise Rejected(Reason.UNKNOWN_FORMAT, f"{FORMAT_HEADER} {name[:SHOWN_CHARS]!r} is no format")

    def look(self, topic: str, value: bytes, headers: Headers, content_type: str | None = None) -> Look:
        """Return of which formats a plain record may be, without reading it; `content_type` in place of the headers' own."""
        if (told := self.told(topic, headers)) is not None:
            return Look((told,), (told,))
        if headers or content_type is not None:
            named = self._named((text_of(headers, "content-type") or "") if content_type is None else content_type)
            if named:
                return Look(named, named if len(named) == 1 else [one for one in named if one.may_be(value)], declared=True)
        return Look(self.candidates, [one for one in (self._by_first[value[0]] if value else self.candidates) if one.may_be(value)])

    def _named(self, content_type: str) -> list[Candidate]:
        """Return the candidates that a content-type names."""
        media = media_of(content_type)
        return [one for one in self.candidates if media in one.media_types] if media else []


def _first(look: Look, value: bytes, headers: Headers) -> Read:
    """Read by the first of the likely that can; raise Rejected with the reasons of all."""
    if look.only is not None:  # nobody else's reason would say more
        return _read(look.only, value, headers)
    refused: list[tuple[str, Rejection]] = []
    for one in look.likely:
        try:
            read = _read(one, value, headers)
        except Rejected as error:
            refused.append((one.format.name, error.rejection))
            continue
        if not read.found or any(isinstance(each, Sample) for each in read.found):
            return read
        refused += [(one.format.name, each) for each in read.found[:1] if isinstance(each, Rejection)]
    if look.declared and not refused:
        refused = [(one.format.name, why) for one in look.among if (why := _why_not(one, value, headers)) is not None]
    none = _none(look, refused, value)
    raise Rejected(none.reason, none.detail)


def _read(candidate: Candidate, value: bytes, headers: Headers) -> Read:
    """Read by one format. What no reader foresaw is the fault of one record, too: it would end the process, and again at each start."""
    try:
        found = list(islice(candidate.format.read(candidate.reframe(value, headers)), MAX_ITEMS + 1))
    except UNFORESEEN as error:
        where = extract_tb(error.__traceback__)[-1]
        said = f"the reader of {candidate.format.name} failed in {where.name}, line {where.lineno}: {type(error).__name__}: {error}"
        raise Rejected(Reason.READER_FAILED, said[:REASON_CHARS]) from error
    if len(found) > MAX_ITEMS:  # what one record gives is one record again, which its topic has to take
        raise too_many()
    return Read(candidate, found)


def _why_not(candidate: Candidate, value: bytes, headers: Headers) -> Rejection | None:
    """Return why a record that does not look like this format is none of it; what it is read as counts for nothing."""
    try:
        found = _read(candidate, value, headers).found
    except Rejected as refused:
        return refused.rejection
    return next((one for one in found if isinstance(one, Rejection)), None)


def _none(look: Look, refused: Sequence[tuple[str, Rejection]], value: bytes) -> Rejection:
    if not refused:
        if (broken := _broken_json(value)) is not None:
            return broken
        names = ", ".join(one.format.name for one in look.among)
        begins = repr(value[:SHOWN_CHARS])[:SHOWN_CHARS]
        return Rejection(Reason.UNKNOWN_FORMAT, f"begins with {begins}, which no format does of {names}"[:REASONS_CHARS])
    what = "its content-type names" if look.declared else "it looks like"
    said = "; ".join(f"{name}: {rejection.detail[:REASON_CHARS]}" for name, rejection in refused)
    return Rejection(refused[0][1].reason, f"of no format that {what}: {said}"[:REASONS_CHARS])


def _broken_json(value: bytes) -> Rejection | None:
    """Return why a record that set out to be JSON is none: that says more than which formats it is not of."""
    if value and value[:64].lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        decode(_ANY, value, JSON_BYTES)
    except Rejected as refused:
        return refused.rejection if refused.rejection.reason is Reason.NOT_JSON else None
    return None


def _timed(one: Sample | Rejection, time: int) -> Sample | Rejection:
    return one._replace(at=time) if isinstance(one, Sample) and one.at is None else one
