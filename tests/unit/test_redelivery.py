"""A dead letter's way back: what goes to the topic it came from, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.config.metrics import MetricsMapping
from schemas.topics import ALERTS, DLQ
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.fold import BACKFILL_HEADER
from streams.harness.redelivery import (
    FORWARDED,
    REPLAY_OF,
    REPLAY_ORIGIN,
    REPLAY_SKIP,
    TOO_MANY,
    Letter,
    back,
    letter_of,
    mark,
    marked,
    ranges,
    skipped,
)
from streams.harness.redelivery import obstacle as hindrance
from streams.harness.stage import Headers, Output, Record
from streams.normalise.core import Core
from streams.normalise.times import Reach
from streams.sink.rows import Fate, fold

NOW = 1_795_489_200_000
LIMIT = 10_485_760


def as_record(output: Output, offset: int = 0, at: int = NOW) -> Record:
    return Record(output.topic, output.partition or 0, offset, at, output.key, output.value, output.headers)


def letter(record: Record, reason: str = "not_json", extra: Headers = ()) -> Letter:
    output = dead_letter(record, "normalise", Poison(reason, "why"))
    found = letter_of(as_record(Output(output.topic, output.key, output.value, (*output.headers, *extra)), 12))
    assert found is not None
    return found


def raw(value: bytes = b"{", headers: Headers = (), offset: int = 7, partition: int = 1) -> Record:
    return Record("metrics", partition, offset, NOW, b"key", value, headers)


def test_a_letter_goes_back_as_the_record_it_was_and_says_where_that_stood() -> None:
    found = back(letter(raw(headers=(("trace", b"1"),))), 4, historical=False)
    assert (found.topic, found.partition, found.key, found.value) == ("metrics", 1, b"key", b"{")
    assert found.headers == (("trace", b"1"), (REPLAY_OF, b"metrics/1@7"), (REPLAY_ORIGIN, b"metrics/1@7"))


def test_a_second_refusal_keeps_the_first_place_and_names_the_second() -> None:
    again = as_record(back(letter(raw()), 4, historical=False), offset=90)
    second = back(letter(again), 4, historical=False)
    assert second.headers == ((REPLAY_OF, b"metrics/1@90"), (REPLAY_ORIGIN, b"metrics/1@7"))
    assert letter(again).id != letter(raw()).id


def test_what_is_old_goes_in_as_history_and_a_partition_that_is_gone_is_chosen_by_the_key() -> None:
    found = back(letter(raw(partition=9)), 4, historical=True)
    assert found.partition is None
    assert (BACKFILL_HEADER, b"1") in found.headers
    marked_before = back(letter(raw(headers=((BACKFILL_HEADER, b"x"),))), 4, historical=True)
    assert [value for name, value in marked_before.headers if name == BACKFILL_HEADER] == [b"x"]


def test_a_mark_is_no_letter_and_a_letter_whose_original_pretends_to_be_a_mark_is_none() -> None:
    found = letter(raw(headers=(("airra.replay.letter", b"dlq-1"),)))
    assert marked(found.record) is None
    done = as_record(mark(found))
    assert (done.topic, marked(done), letter_of(done)) == (DLQ.name, found.id, None)
    assert fold(done).fate is Fate.REPLAYED
    assert fold(found.record).fate is Fate.STORED


@pytest.mark.parametrize(
    ("found", "partitions", "why"),
    [
        (letter(raw(b"x" * 11_600_000)), 4, "value is not whole"),
        (letter(raw(headers=(("h", b"x" * 40_000),))), 4, "headers is not whole"),
        (letter(raw(), "output_too_large"), 4, "could not write"),
        (letter(raw()), 0, "is not there"),
        (letter(raw(b"x" * LIMIT)), 4, "larger than metrics takes"),
        (letter(raw(), extra=((FORWARDED, TOO_MANY.encode()),)), 4, "take them twice"),
        (letter(raw(), extra=((FORWARDED, b"nonsense"),)), 4, "take them twice"),
    ],
)
def test_what_cannot_go_back_says_why(found: Letter, partitions: int, why: str) -> None:
    assert why in (hindrance(found, partitions, LIMIT) or "")


def test_a_sound_letter_meets_no_obstacle() -> None:
    assert hindrance(letter(raw()), 4, LIMIT) is None


def test_ranges_are_written_and_read() -> None:
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert skipped(((REPLAY_SKIP, b"0-2,5,7-8"),)) == frozenset({0, 1, 2, 5, 7, 8})
    assert ranges(list(range(0, 20_000, 2))) == TOO_MANY
    assert (ranges([]), skipped(())) == ("", frozenset())


@pytest.mark.parametrize("text", [b"0-999999999", b"0-5,3-9", b"5,5", b"-1", b"1-", b"a", b"0-9," * 3000, b"\xff"])
def test_a_stranger_cannot_make_it_skip_what_it_likes_or_work_for_long(text: bytes) -> None:
    assert skipped(((REPLAY_SKIP, text),)) == frozenset()


def alert(service: str) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": "A", "team": "x", "app": service}, "startsAt": "2026-11-24T02:58:30Z"}


def test_a_webhook_of_which_a_part_was_refused_brings_in_only_that_part() -> None:
    """The good alerts were forwarded when the bad ones were refused: a replay of the whole would tell them twice."""
    broken, mended = (
        MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}], "service_labels": names})
        for names in (["service"], ["service", "app"])
    )
    good = {**alert(""), "labels": {"alertname": "B", "service": "orders"}}
    value = json.dumps({"alerts": [good, alert("a"), good, alert("b"), {}]}).encode()
    first = Record("alerts", 0, 7, NOW, None, value)
    taken = Core(broken, 1, 1).take_alerts([first], Reach(NOW))
    *events, output = taken.outputs
    assert len(events) == 2
    found = letter_of(as_record(output))
    assert found is not None
    assert found.forwarded == "0,2"

    again = as_record(back(found, 1, historical=False), offset=8)
    taken = Core(mended, 1, 1).take_alerts([again], Reach(NOW))
    *events, output = taken.outputs
    assert [json.loads(event.value)["service"] for event in events] == ["a", "b"]
    assert {event.topic for event in events} == {ALERTS.name}
    rest = letter_of(as_record(output))
    assert rest is not None
    assert rest.forwarded == "0-3"
