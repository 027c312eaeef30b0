"""Which format a record is in: the topic's setting, then the headers, then how it looks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from schemas.config.formats import FormatsMapping
from streams.harness.errors import Fatal, Retryable
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.catalogue import choice_of
from streams.normalise.formats.choice import REASONS_CHARS, Candidate, Choice, Read
from streams.normalise.formats.port import Described, Sample
from tests.unit import otlp_messages, prometheus_messages


class Letters:
    """A format of a test: a mark, then one sample a letter; a `!` breaks the record, a `?` its sample; counts what it was asked."""

    def __init__(self, name: str, mark: bytes) -> None:
        self.name = name
        self.mark = mark
        self.reads = 0

    def may_be(self, value: bytes) -> bool:
        return value.startswith(self.mark)

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        self.reads += 1
        if not value.startswith(self.mark):
            raise Rejected(Reason.WRONG_TYPE, f"no {self.mark!r}")
        for letter in value[len(self.mark) :]:
            if letter == ord("!"):
                raise Rejected(Reason.MISSING_FIELD, f"{self.name} broke")
            yield (
                Rejection(Reason.NOT_FINITE, f"{self.name} doubts") if letter == ord("?") else Sample(bytes([letter]), None, float(letter))
            )

    def read_nothing(self, _: bytes) -> Iterable[Sample | Rejection]:
        raise Rejected(Reason.NOT_JSON, "not mine")

    def describe(self, key: bytes) -> Described:
        return Described({"__name__": key.decode()})


def candidate(form: Letters, *media: str) -> Candidate:
    return Candidate(form, form.may_be, frozenset(media))


def by(found: list[Read | Rejection]) -> list[str]:
    return [one.format.name if isinstance(one, Read) else one.detail for one in found]


def headers(**told: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name.replace("content_type", "content-type"), value.encode()) for name, value in told.items())


EVENT = headers(ce_specversion="1.0", ce_id="1", ce_source="/x", ce_type="t", ce_time="2018-04-05T03:56:24Z")
EVENT_AT = 1_522_900_584_000


def test_the_setting_of_a_topic_wins_over_its_headers_and_its_looks() -> None:
    one, two = Letters("one", b"x"), Letters("two", b"")
    choice = Choice([candidate(one, "text/one")], {"set": candidate(two)})
    assert by(choice.read("set", b"xa", headers(content_type="text/one"))) == ["two"]
    assert by(choice.read("other", b"xa", ())) == ["one"]


def test_a_record_that_breaks_its_topics_format_is_tried_in_no_other() -> None:
    one, two = Letters("one", b"x"), Letters("two", b"")
    with pytest.raises(Rejected, match="two broke"):
        Choice([candidate(one)], {"set": candidate(two)}).read("set", b"x!", ())
    assert one.reads == 0


@pytest.mark.parametrize("written", ["text/two", "TEXT/Two; charset=utf-8", " text/two ;q=1"])
def test_a_content_type_that_names_a_format_wins_over_the_looks(written: str) -> None:
    one, two = Letters("one", b"x"), Letters("two", b"x")
    choice = Choice([candidate(one, "text/one"), candidate(two, "text/two")], {})
    assert by(choice.read("t", b"xa", headers(content_type=written))) == ["two"]


def test_a_content_type_of_two_formats_leaves_the_choice_to_their_looks() -> None:
    one, two, three = Letters("one", b"x"), Letters("two", b"y"), Letters("three", b"y")
    choice = Choice([candidate(one, "text/both"), candidate(three), candidate(two, "text/both")], {})
    assert by(choice.read("t", b"ya", headers(content_type="text/both"))) == ["two"]


@pytest.mark.parametrize("written", ["application/json", "", "nonsense"])
def test_a_content_type_that_names_no_format_says_nothing(written: str) -> None:
    choice = Choice([candidate(Letters("one", b"x"), "text/one")], {})
    assert by(choice.read("t", b"xa", headers(content_type=written))) == ["one"]


def test_what_no_reader_foresaw_is_the_fault_of_one_record() -> None:
    """It would end the process, and again each time it begins with that record."""
    one, two = Letters("one", b"x"), Letters("two", b"x")
    one.read = lambda _: 1 // 0  # type: ignore[assignment, method-assign, return-value]
    assert by(Choice([candidate(one), candidate(two)], {}).read("t", b"xa", ())) == ["two"]
    with pytest.raises(Rejected, match=r"the reader of one failed in <lambda>, line \d+: ZeroDivisionError") as raised:
        Choice([candidate(one)], {}).read("t", b"xa", ())
    assert raised.value.rejection.reason is Reason.READER_FAILED


@pytest.mark.parametrize("kind", [Retryable, Fatal])
def test_what_a_reader_knows_to_be_nobodys_fault_passes(kind: type[Exception]) -> None:
    one = Letters("one", b"x")

    def read(_: bytes) -> Iterable[Sample | Rejection]:
        raise kind

    one.read = read  # type: ignore[method-assign]
    with pytest.raises(kind):
        Choice([candidate(one)], {}).read("t", b"xa", ())


def test_a_record_is_of_the_first_format_that_reads_it() -> None:
    first, second, third = Letters("first", b""), Letters("second", b"x"), Letters("third", b"")
    choice = Choice([candidate(first), candidate(second), candidate(third)], {})
    assert by(choice.read("t", b"xa", ())) == ["first"]
    first.read = third.read_nothing  # type: ignore[method-assign]
    assert by(choice.read("t", b"xa", ())) == ["second"]


def test_a_format_that_the_record_does_not_look_like_never_reads_it() -> None:
    one, two = Letters("one", b"y"), Letters("two", b"")
    Choice([candidate(one), candidate(two)], {}).read("t", b"xa", ())
    assert (one.reads, two.reads) == (0, 1)


def test_a_format_that_finds_no_single_good_sample_leaves_the_record_to_the_next() -> None:
    one, two = Letters("one", b""), Letters("two", b"?")
    assert by(Choice([candidate(one), candidate(two)], {}).read("t", b"?", ())) == ["two"]
    assert by(Choice([candidate(one), candidate(two)], {}).read("t", b"?a", ())) == ["one"]


def test_an_only_likely_format_keeps_its_rejections_of_single_samples() -> None:
    (read,) = Choice([candidate(Letters("one", b"x")), candidate(Letters("two", b"y"))], {}).read("t", b"x??", ())
    assert isinstance(read, Read)
    assert read.found == [Rejection(Reason.NOT_FINITE, "one doubts")] * 2


def test_a_record_of_no_format_is_one_rejection_with_every_reason() -> None:
    choice = Choice([candidate(Letters("one", b"x")), candidate(Letters("two", b"")), candidate(Letters("three", b"y"))], {})
    with pytest.raises(Rejected) as caught:
        choice.read("t", b"x!", ())
    assert caught.value.rejection == Rejection(Reason.MISSING_FIELD, "of no format that it looks like: one: one broke; two: two broke")


def test_what_looks_like_none_of_the_formats_that_its_content_type_names_has_the_reason_of_each() -> None:
    named = [candidate(Letters(name, mark), "application/x") for name, mark in (("one", b"x"), ("two", b"y"))]
    with pytest.raises(Rejected) as caught:
        Choice([*named, candidate(Letters("three", b""))], {}).read("t", b"!", (("content-type", b"application/x"),))
    why = "of no format that its content-type names: one: no b'x'; two: no b'y'"
    assert caught.value.rejection == Rejection(Reason.WRONG_TYPE, why)


def test_what_it_is_read_as_without_looking_like_it_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "may_be", lambda *_: False)
    choice = Choice([candidate(Letters(name, b""), "application/x") for name in ("one", "two")], {})
    with pytest.raises(Rejected) as caught:
        choice.read("t", b"aa", (("content-type", b"application/x"),))
    assert caught.value.rejection.reason is Reason.UNKNOWN_FORMAT


def test_a_record_that_looks_like_nothing_is_rejected_with_how_it_begins() -> None:
    choice = Choice([candidate(Letters("one", b"x")), candidate(Letters("two", b"y"))], {})
    with pytest.raises(Rejected) as caught:
        choice.read("t", b"\x00zz", ())
    assert caught.value.rejection == Rejection(Reason.UNKNOWN_FORMAT, r"begins with b'\x00zz', which no format does of one, two")


def test_the_list_of_reasons_is_bounded() -> None:
    choice = Choice([candidate(Letters("n" * 300, b"")) for _ in range(50)], {})
    for value in (b"!", b"\x00" * 10_000 + b"!"):
        with pytest.raises(Rejected) as caught:
            choice.read("t", value, ())
        assert len(caught.value.rejection.detail) <= REASONS_CHARS


# envelopes


def test_the_data_of_an_event_is_read_by_its_own_content_type() -> None:
    choice = Choice([candidate(Letters("one", b"x"), "text/one"), candidate(Letters("two", b"x"), "text/two")], {})
    assert by(choice.read("t", b"xa", (*EVENT, *headers(content_type="text/two")))) == ["two"]


def test_the_setting_of_a_topic_tells_what_is_within_the_envelope() -> None:
    choice = Choice([], {"t": candidate(Letters("one", b"x"))})
    value = b'{"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "datacontenttype": "text/plain", "data": "xa"}'
    assert by(choice.read("t", value, headers(content_type="application/cloudevents+json"))) == ["one"]


def test_an_events_time_stands_in_only_for_a_sample_without_its_own() -> None:
    class Timed(Letters):
        def read(self, value: bytes) -> Iterable[Sample | Rejection]:
            return [Sample(b"a", 7, 1.0), Sample(b"b", None, 1.0), Rejection(Reason.NOT_FINITE, "c")]

    (read,) = Choice([], {"t": candidate(Timed("one", b""))}).read("t", b"x", EVENT)
    assert isinstance(read, Read)
    assert read.found == [Sample(b"a", 7, 1.0), Sample(b"b", EVENT_AT, 1.0), Rejection(Reason.NOT_FINITE, "c")]


def test_an_event_of_a_batch_that_cannot_be_read_does_not_cost_its_neighbours() -> None:
    event = '{"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "datacontenttype": "text/plain", "data": "%s"}'
    value = f"[{event % 'xa'}, 5, {event % 'x!'}, {event % 'xb'}]".encode()
    found = Choice([candidate(Letters("one", b"x"))], {}).read("t", value, headers(content_type="application/cloudevents-batch+json"))
    assert [type(one) for one in found] == [Read, Rejection, Rejection, Read]


def test_a_single_event_that_cannot_be_read_rejects_its_record() -> None:
    with pytest.raises(Rejected, match="one broke"):
        Choice([candidate(Letters("one", b"x"))], {}).read("t", b"x!", EVENT)


def test_a_format_may_need_headers_of_its_own() -> None:
    form = Letters("one", b"x")
    told = Candidate(form, form.may_be, reframe=lambda value, headers: dict(headers)["prefix"] + value)
    assert by(Choice([], {"t": told}).read("t", b"a", (("prefix", b"x"),))) == ["one"]


@pytest.mark.parametrize("length", range(30, 128))
def test_protobuf_whose_length_is_a_printable_byte_is_no_line_protocol(length: int) -> None:
    """It begins with the byte of a line's end, and text in it may hold a space and an equals sign."""
    export = otlp_messages.export(
        otlp_messages.resource(otlp_messages.gauge("a = b", otlp_messages.point(1.0)), labels={"service.name": "s" * length})
    )
    request = prometheus_messages.request(prometheus_messages.series({"__name__": "up", "x = y": "s" * length}, (1, 1.0)))
    choice = choice_of(FormatsMapping())
    assert [choice.look("t", record, ()).only.format.name for record in (export, request)] == ["otlp", "remote-write"]
