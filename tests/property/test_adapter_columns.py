"""The adapter's JSON by the batch gives what reading it message by message gives, whatever is in it and whatever the cache forgets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config.metrics import MetricsMapping
from streams.normalise.adapter_columns import AdapterColumns
from streams.normalise.cache import SeriesCache
from streams.normalise.formats.text_kernel import INEXACT, NO_NUMERAL, NO_TIME, instant, number
from streams.normalise.numerals import is_numeral
from streams.normalise.prometheus_kafka_adapter import Adapted, Decoder
from streams.normalise.rows import Refusals
from streams.normalise.series import Resolver
from streams.normalise.times import parse_time

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]})
LIKE_GO = (
    b'{"labels":{"__name__":"up","instance":"127.0.0.1:1234","job":"shop"},"name":"up","timestamp":"2026-11-24T03:00:00Z","value":"0.5"}'
)

spaces = st.sampled_from(["", "", "", "", " ", "\n", "\t \r"])
plain = st.sampled_from(["up", "shop", "a{b}", "", "127.0.0.1:1234", "x" * 600, ",", ":", "x" * 7, "\x7f"])
texts = st.one_of(plain, plain, st.text(max_size=6))
sound_times = st.one_of(
    st.sampled_from(
        ["2026-11-24T03:00:00Z", "2026-11-24T03:00:00.25+02:30", "2000-02-29T23:59:59.123456789-23:59", "0001-01-01T00:00:00Z"]
    ),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
)
odd_times = st.sampled_from(
    ["1900-02-29T00:00:00Z", "2026-11-24t03:00:00z", "2026-11-24T03:00:60Z", "2026-11-24T03:00:00", "0000-01-01T00:00:00Z", "", "yesterday",
     "2026-11-24T03:00:00.Z", "2026-11-24T03:00:00.1234567890Z", "2026-11-24T03:00:00+24:00", "2026-11-24T24:00:00Z", "2026-00-24T03:00:00Z"]
)  # fmt: skip
numerals = st.one_of(
    st.floats().map(repr),
    st.floats().map(lambda value: f"{value:e}"),
    st.integers().map(str),
    st.from_regex(r"[+-]?[0-9]{0,22}\.?[0-9]{0,22}([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(
        ["-0", "0e999999999999999999999", "9007199254740992", "9007199254740991e22", "1e23", "4.35", "1e-22", "NaN", "+Inf", "0x1"]
    ),
    st.sampled_from(["1_000", " 1", "1 ", "\u0661", ".", "", "1e", "1e+", "--1", "1.5.2", "5.", ".5", "1" * 800]),
)


def one(pieces: list[tuple[str, str]], space: str, end: str) -> bytes:
    """Write an object of these members, with this space about everything."""
    members = f"{space},{space}".join(f"{json.dumps(name)}{space}:{space}{value}" for name, value in pieces)
    return f"{space}{{{space}{members}{space}}}{end}".encode("utf-8", "surrogatepass")


def quoted(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)


strings = st.builds(quoted, texts, st.booleans())
wrong = st.sampled_from(["1", "null", "true", "{}", "[]", '"', '{"a":1}', '"\\u0031"', '"\x01"'])
pairs = st.lists(st.tuples(st.one_of(st.sampled_from(["__name__", "__name__", "job", "service"]), texts), strings), max_size=4)
labels = st.one_of(
    st.builds(lambda own, name: [("__name__", quoted(name, True)), *own], pairs, st.sampled_from(["up", "other"])),
    pairs,
).flatmap(lambda found: spaces.map(lambda space: one(found, space, "").decode("utf-8", "surrogatepass")))
members = st.tuples(
    st.one_of(labels, labels, labels, labels, wrong).map(lambda text: ("labels", text)),
    st.one_of(strings, strings, strings, wrong).map(lambda text: ("name", text)),
    st.one_of(*[sound_times.map(json.dumps)] * 4, odd_times.map(json.dumps), wrong).map(lambda text: ("timestamp", text)),
    st.one_of(*[numerals.map(json.dumps)] * 4, wrong).map(lambda text: ("value", text)),
).map(list)
more = st.sampled_from(
    [[], [], [], [], [("name", '"up"')], [("value", '"2"')], [("other", "1")], [("Name", '"up"')], [("labels", '{"__name__":"up"}')]]
)
messages = st.builds(
    lambda found, extra, order, missing, space, end: one(
        [member for place, member in enumerate(order.sample([*found, *extra], len(found) + len(extra))) if place != missing], space, end
    ),
    members, more, st.randoms(use_true_random=False), st.sampled_from([9, 9, 9, 9, 9, 0, 1, 2, 3]), spaces,
    st.sampled_from(["", "", "", " \n", "x", "{}", "\x00"]),
)  # fmt: skip
mutated = st.builds(
    lambda message, at, cut, put: message[: at % (len(message) + 1)] + put + message[at % (len(message) + 1) + cut :],
    st.one_of(st.just(LIKE_GO), messages),
    st.integers(0, 400),
    st.integers(0, 1),
    st.one_of(
        st.just(b""),
        st.sampled_from([b'"', b"\\", b"{", b"}", b",", b":", b" ", b"0", b"9", b"\xc3", b"\x00", b"\x1f"]),
        st.binary(max_size=1),
    ),
)
batches = st.lists(st.one_of(st.none(), st.just(LIKE_GO), messages, messages, mutated, mutated, st.binary(max_size=8)), max_size=8)


def decoder(capacity: int) -> Decoder:
    return Decoder(SeriesCache(Resolver(MAPPING), 4, capacity, seed=1))


def young(cache: SeriesCache) -> set[tuple[int, int]]:
    """Return the hashes of the texts that were used since the last turn: of caches with one seed they are the same of the same texts."""
    table = cache.young().table
    return set(map(tuple, table.arrays.hashes[: len(table)].tolist()))


def told(cache: SeriesCache, adapted: Adapted, refusals: Refusals) -> dict[str, Any]:
    rows = adapted.rows
    columns = (rows.record, rows.part, rows.time, np.ascontiguousarray(rows.value).view(np.uint64))
    return {
        "rows": list(zip(*(column.tolist() for column in columns), strict=True)),
        "meanings": [cache.meaning(slot) for slot in rows.slot.tolist()],
        "foreign": adapted.foreign,
        "refused": (refusals.first, dict(refusals.count)),
        "held": (young(cache), len(cache), cache.turns, cache.evicted),
    }


def both(capacity: int, *parts: list[bytes | None], without: int = -1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the batch reads, and what the reference does; of five messages not the one `without`."""
    fast, slow = decoder(capacity), decoder(capacity)
    found: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for values in parts:
        beside = {index for index in range(len(values)) if index % 5 == without}
        chosen = [index for index in range(len(values)) if index not in beside]
        for of in (fast, slow):
            of.cache.turn()
            refusals = Refusals()
            adapted = of.decode(values, beside, refusals) if of is fast else of.one_by_one(values, chosen, refusals)
            found[of is slow].append(told(of.cache, adapted, refusals))
    return found


@settings(max_examples=400)
@given(batches, batches, st.sampled_from([2, 400_000]), st.integers(-1, 4))
def test_the_batch_reads_what_the_reference_reads(
    first: list[bytes | None], second: list[bytes | None], capacity: int, without: int
) -> None:
    fast, slow = both(capacity, first, [*second, *first], second, first, without=without)
    assert fast == slow


@pytest.mark.parametrize(
    "put", [b"", *(bytes([byte]) for byte in (0, 9, 31, 32, 34, 43, 44, 45, 46, 48, 57, 58, 90, 92, 101, 123, 125, 127, 128, 255))]
)
def test_one_byte_changed_added_or_taken_away_at_each_place(put: bytes) -> None:
    values: list[bytes | None] = [LIKE_GO, *(LIKE_GO[:at] + put + LIKE_GO[at + cut :] for at in range(len(LIKE_GO)) for cut in (0, 1))]
    fast, slow = both(400_000, values, values)
    assert fast == slow


def test_a_message_cut_anywhere() -> None:
    values: list[bytes | None] = [LIKE_GO[:end] for end in range(len(LIKE_GO) + 1)] * 2
    fast, slow = both(400_000, values, values)
    assert fast == slow


@settings(max_examples=500)
@given(numerals)
def test_a_number_is_what_float_makes_of_it(text: str) -> None:
    data = np.frombuffer(text.encode() + bytes(16), np.uint8)
    found, kind = number(data, 0, len(text.encode()))
    if kind == 0:
        assert np.float64(found).view(np.uint64) == np.float64(float(text)).view(np.uint64)
        assert is_numeral(text)
    elif kind == INEXACT:
        assert is_numeral(text)
        float(text.encode())
    else:
        assert kind == NO_NUMERAL
        assert not is_numeral(text) or "n" in text.lower()  # nan and inf


@settings(max_examples=500)
@given(st.one_of(sound_times, odd_times, st.from_regex(r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-6][0-9])", fullmatch=True)))  # fmt: skip
def test_a_time_is_what_the_reference_makes_of_it(text: str) -> None:
    found = instant(np.frombuffer(text.encode() + bytes(16), np.uint8), 0, len(text))
    if found != NO_TIME:
        assert found == parse_time(text)
    else:
        assert parse_time(text) is None or set(text) & set("tz ") or text[17:19] == "60"


def test_what_the_adapter_writes_is_read_by_the_batch() -> None:
    values = [
        LIKE_GO,
        LIKE_GO.replace(b"0.5", b"12.345678901234567"),
        LIKE_GO.replace(b"shop", b"/a/{id}"),
        json.dumps(json.loads(LIKE_GO)).encode(),
        LIKE_GO.replace(b"shop", "ä".encode()),
        LIKE_GO.replace(b'"__name__"', b'"name"'),
        LIKE_GO.replace(b"0.5", b"NaN"),
    ]
    for _ in range(2):
        rows, left = AdapterColumns(decoder(10).cache).read(values)
        assert rows.record.tolist() == [0, 1, 2, 3]
        assert rows.value.tolist() == [0.5, 12.345678901234567, 0.5, 0.5]
        assert left == [4, 5, 6]


def test_a_series_that_goes_on_is_found_again_after_each_turn_of_the_cache() -> None:
    of = decoder(4)
    for step in range(8):
        of.cache.turn()
        rows = of.decode([LIKE_GO, LIKE_GO.replace(b"shop", b"s%d" % step)], (), Refusals()).rows
        assert [of.cache.meaning(slot).service for slot in rows.slot.tolist()] == ["shop", f"s{step}"]  # type: ignore[union-attr]
    assert of.cache.turns >= 2
    assert of.cache.evicted > 0


def test_labels_that_the_reference_has_read_are_known_to_the_batch_from_then_on() -> None:
    of = decoder(400_000)
    columns = AdapterColumns(of.cache)
    other = LIKE_GO.replace(b"shop", "ä".encode())
    nameless = LIKE_GO.replace(b'"__name__"', b'"name"')
    first = of.one_by_one([other, nameless], [0, 1], Refusals()).rows
    for _ in range(2):
        rows, left = columns.read([other, nameless, LIKE_GO])
        assert (rows.record.tolist(), left) == ([0, 2], [1])
        assert rows.slot[0] == first.slot[0]


def test_of_a_text_however_long_a_table_keeps_a_hash() -> None:
    cache = decoder(400_000).cache
    columns = AdapterColumns(cache)
    for step in range(20):
        columns.read([LIKE_GO.replace(b"shop", b"s%d" % step + b"x" * 10_000)])
    assert sum(one.nbytes for one in cache.young().table.arrays[:2]) < 50_000
    assert cache.young().bytes > 200_000  # of the definitions
