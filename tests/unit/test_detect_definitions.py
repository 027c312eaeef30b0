"""Definitions are kept packed: what comes out is what was put in, and a snapshot holds what it held when they were objects."""

from __future__ import annotations

import tracemalloc

import msgspec

from models.detection.series.definitions import Definitions
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import SeriesDef

ODD = SeriesDef(
    2**64 - 1, "cart", "cart-1", "http_seconds", Kind.LATENCY, MetricType.HISTOGRAM, "seconds", Direction.UP, 7, "bucket", 0.25,
    {"__name__": "http_seconds_bucket", "le": "0.25", "path": "/ü"}, delta=True, source="metrics",
)  # fmt: skip
PLAIN = SeriesDef(1, "cart", "", "up", Kind.UP, MetricType.GAUGE, "", Direction.DOWN, 1)


def test_what_was_put_in_comes_out() -> None:
    kept = Definitions()
    kept[3], kept[0] = ODD, PLAIN
    assert (kept[3], kept[0], list(kept), len(kept)) == (ODD, PLAIN, [3, 0], 2)
    assert kept.pop(3) == ODD
    assert dict(kept) == {0: PLAIN}


def test_a_snapshot_holds_the_bytes_of_the_objects() -> None:
    kept = Definitions()
    kept[3], kept[0] = ODD, PLAIN
    image = msgspec.msgpack.encode(kept.image())
    assert image == msgspec.msgpack.encode({3: ODD, 0: PLAIN})
    assert Definitions(msgspec.msgpack.decode(image, type=dict[int, msgspec.Raw])) == kept


class Image(msgspec.Struct):
    defs: dict[int, msgspec.Raw]
    rest: msgspec.Raw


def test_a_definition_does_not_keep_the_snapshot_that_it_came_from() -> None:
    tracemalloc.start()
    try:
        image = msgspec.msgpack.decode(msgspec.msgpack.encode({"defs": {0: PLAIN}, "rest": bytes(10_000_000)}), type=Image)
        kept = Definitions(image.defs)
        del image
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[0] == PLAIN
    assert held < 1_000_000
