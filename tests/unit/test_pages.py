"""Values that are kept in compressed pages: what comes out is what was put in, and a snapshot holds what it held when they were objects."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import pages
from models.detection.series.registry import definitions
from models.pages import ROWS, Pages
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import SeriesDef, pack_series, unpack_series

ODD = SeriesDef(
    2**64 - 1, "cart", "cart-1", "http_seconds", Kind.LATENCY, MetricType.HISTOGRAM, "seconds", Direction.UP, 7, "bucket", 0.25,
    {"__name__": "http_seconds_bucket", "le": "0.25", "path": "/ü"}, delta=True, source="metrics",
)  # fmt: skip
PLAIN = SeriesDef(1, "cart", "", "up", Kind.UP, MetricType.GAUGE, "", Direction.DOWN, 1)

ROW = st.integers(0, 5 * ROWS)
CHANGES = st.lists(st.tuples(ROW, st.none() | st.text(max_size=5)), max_size=80)


def texts() -> Pages[str]:
    return Pages(msgspec.msgpack.encode, msgspec.msgpack.Decoder(str).decode)


@given(CHANGES, st.integers(1, 3))
def test_it_is_a_dict_in_the_order_of_its_rows(changes: list[tuple[int, str | None]], open_at_once: int) -> None:
    kept, plain = texts(), dict[int, str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "OPEN", open_at_once)  # few: each is shut and opened again many times
        for row, value in changes:
            if value is not None:
                kept[row] = plain[row] = value
            elif row in plain:
                assert kept.pop(row) == plain.pop(row)
            else:
                with pytest.raises(KeyError):
                    del kept[row]
            assert (len(kept), row in kept) == (len(plain), row in plain)
        assert list(kept.pairs()) == sorted(plain.items()) == list(kept.items())
        image = kept.image()
        assert {row: bytes(one) for row, one in msgspec.msgpack.decode(image, type=dict[int, msgspec.Raw]).items()} == dict(kept.packed())
        filled = texts()
        filled.fill(image)
        assert filled == plain
        assert len(filled) == len(plain)
        filled[2 * ROWS] = "more"
        assert filled == plain | {2 * ROWS: "more"}


@pytest.mark.parametrize("row", [-1, ROWS, 10**9, "0"])
def test_there_is_no_other_row(row: object) -> None:
    kept = texts()
    kept[ROWS - 1] = "last"
    assert row not in kept
    with pytest.raises((KeyError, TypeError)):
        kept[row]  # type: ignore[index]


@pytest.mark.parametrize("found", [ODD, PLAIN])
def test_a_definition_that_was_kept_in_full_reads_the_same(found: SeriesDef) -> None:
    full = msgspec.msgpack.encode(found)
    assert unpack_series(full) == unpack_series(pack_series(found)) == found
    assert type(unpack_series(full)) is SeriesDef


WORDS = st.sampled_from(["cart", "cart:1", "up", ""]) | st.text(max_size=3)


@given(WORDS, WORDS, WORDS, st.dictionaries(st.text(max_size=3), WORDS, max_size=5), st.integers(0, 3))
def test_what_a_definition_says_twice_comes_back(service: str, instance: str, metric: str, labels: dict[str, str], group: int) -> None:
    found = msgspec.structs.replace(PLAIN, id=2, service=service, instance=instance, metric=metric, labels=labels, group=group)
    assert unpack_series(pack_series(found)) == found


class Image(msgspec.Struct):
    defs: msgspec.Raw
    rest: msgspec.Raw


def test_a_definition_does_not_keep_the_snapshot_that_it_came_from() -> None:
    tracemalloc.start()
    try:
        image = msgspec.msgpack.decode(msgspec.msgpack.encode({"defs": {0: PLAIN}, "rest": bytes(10_000_000)}), type=Image)
        kept = definitions()
        kept.fill(image.defs)
        del image
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[0] == PLAIN
    assert held < 1_000_000


def test_definitions_come_out_as_they_were() -> None:
    kept = definitions()
    kept[3], kept[0] = ODD, PLAIN
    assert (kept[3], kept[0], list(kept), len(kept)) == (ODD, PLAIN, [0, 3], 2)
    image = msgspec.msgpack.decode(kept.image(), type=dict[int, msgspec.Raw])
    assert {row: bytes(one) for row, one in image.items()} == {0: pack_series(PLAIN), 3: pack_series(ODD)}
    again = definitions()
    again.fill(msgspec.msgpack.encode(kept.image()))
    assert again == kept == {0: PLAIN, 3: ODD}
    assert kept.pop(3) == ODD
    assert dict(kept) == {0: PLAIN}


@pytest.mark.parametrize("count", [0, 15, 16, 2**16 - 1, 2**16])
def test_a_snapshot_holds_a_map_as_short_as_it_may_be(count: int) -> None:
    kept, plain = texts(), {row: str(row) for row in range(count)}
    kept.update(plain)
    assert bytes(kept.image()) == msgspec.msgpack.encode(plain)
    filled = texts()
    filled.fill(kept.image())
    assert filled == plain


def test_a_snapshot_of_ten_thousand_definitions_makes_no_object_of_each() -> None:
    kept = definitions()
    for row in range(10_000):
        kept[row] = msgspec.structs.replace(ODD, id=row)
    tracemalloc.start()
    try:
        image = kept.image()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2.5 * len(bytes(image)), "the pages, and what they are brought together to"


def test_ten_thousand_definitions_take_little() -> None:
    tracemalloc.start()
    try:
        kept, begun = definitions(), tracemalloc.get_traced_memory()[0]
        for row in range(10_000):
            kept[row] = msgspec.structs.replace(ODD, id=row * 2**40 + 7, instance=f"cart-{row}")
        each = (tracemalloc.get_traced_memory()[0] - begun) / len(kept)
    finally:
        tracemalloc.stop()
    assert each < 80, "an object takes 700 bytes, its MessagePack 250"


def test_a_value_that_cannot_be_packed_changes_nothing() -> None:
    kept = texts()
    kept[0] = "a"
    with pytest.raises(UnicodeEncodeError):
        kept[1] = "\ud800"
    filled = texts()
    filled.fill(kept.image())
    assert filled == kept == {0: "a"}
    assert len(kept) == 1
