"""Health has two forms: the one that detect writes says what the one that readers validate with says; and its values in short."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from models.detection.evidence import Texts
from models.detection.evidence_kernel import LEAST, MOST, NOT_PLAIN, put_number
from models.detection.health_kernel import BASE, COLUMNS, DIGITS, HIGH, LOW, PEAK, POINTS, VALUE, Z, choose, short
from models.detection.judge import ORDINARY, SHIFTED, Slots
from models.detection.series.registry import Meta
from schemas.base import LAST_MS, canonical
from schemas.config.detect import MAX_POINTS
from schemas.health_record import EvidenceRecord, HealthRecord, PositionRecord
from schemas.kinds import Direction, Kind
from schemas.signals import SIGNALS, Health, SeriesEvidence
from schemas.topics import SIGNALS as TOPIC
from streams.harness.emit import emit

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.floats(-1e15, 1e15).map(lambda value: round(value, 3))  # neither form writes an exponent
TEXTS = st.text(max_size=9)
TIMES = st.integers(0, LAST_MS)


def records(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[HealthRecord]:
    evidence = st.builds(
        EvidenceRecord, baseline=numbers, high=numbers, low=numbers, peak_z=numbers, value=numbers, z=numbers,
        direction=st.sampled_from(Direction), kind=st.sampled_from(Kind), instance=TEXTS, metric=TEXTS, series=TEXTS, service=TEXTS,
        unit=TEXTS, points=st.lists(st.tuples(TIMES, numbers), max_size=3),
    )  # fmt: skip
    return st.builds(
        HealthRecord, anomalous=st.integers(0, 99), at=TIMES, id=TEXTS, kind=st.sampled_from(Kind), series=st.lists(evidence, max_size=3),
        series_count=st.integers(0, 99), service=TEXTS, source=st.builds(PositionRecord, st.integers(0), st.integers(0), TEXTS),
        type=st.just("health"),
    )  # fmt: skip


@given(records(NUMBERS))
def test_what_detect_writes_is_what_readers_read(record: HealthRecord) -> None:
    written = emit(TOPIC, "cart", record).value
    read = SIGNALS.validate_json(written)
    assert json.loads(canonical(read)) == json.loads(written)
    assert read == Health.model_validate(msgspec.to_builtins(record))


@given(records(PLAIN))
def test_its_bytes_are_canonical(record: HealthRecord) -> None:
    written = emit(TOPIC, "cart", record).value
    assert written == canonical(SIGNALS.validate_json(written))


WILD = st.one_of(NUMBERS, st.sampled_from([0.0, -0.0, 1e-3, 9.99e-4, 1e15, 999_999_999.5, 1e9, 123_456_789_000.0, 5e-324]))
SHORT = st.one_of(
    st.just(0.0),
    st.builds(
        lambda digits, power, sign: sign * digits / 10.0**power, st.integers(1, 10**9 - 1), st.integers(0, 3), st.sampled_from([1, -1])
    ),
)
METAS = st.builds(
    Meta, series=TEXTS, service=TEXTS, instance=TEXTS, metric=TEXTS, kind=st.sampled_from(Kind), unit=TEXTS, direction=st.sampled_from(Direction)
)  # fmt: skip


def evidence_of(meta: Meta, values: list[float], times: list[int], kept: int) -> EvidenceRecord:
    points = list(zip(times, values[POINTS:], strict=True))[MAX_POINTS - kept :]
    return EvidenceRecord(
        values[BASE], meta.direction, values[HIGH], meta.instance, meta.kind, values[LOW], meta.metric, values[PEAK], points,
        meta.series, meta.service, meta.unit, None, values[VALUE], values[Z],
    )  # fmt: skip


@settings(deadline=None)
@given(st.data(), st.dictionaries(st.integers(0, 9), METAS, max_size=5), st.booleans())
def test_evidence_written_by_compiled_code_is_what_the_encoder_writes(data: st.DataObject, metas: dict[int, Meta], wild: bool) -> None:
    def drawn(of: st.SearchStrategy[Any], width: int) -> Any:
        return data.draw(st.lists(st.lists(of, min_size=width, max_size=width), min_size=len(metas), max_size=len(metas)))

    values, times = drawn(WILD if wild else SHORT, COLUMNS), drawn(TIMES, MAX_POINTS)
    kept = data.draw(st.lists(st.integers(0, MAX_POINTS), min_size=len(metas), max_size=len(metas)))
    texts, slots = Texts(), np.array(list(metas), np.int64)
    columns = np.array(values).reshape(-1, COLUMNS), np.array(times, np.int64).reshape(-1, MAX_POINTS), slots, np.array(kept, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.detection.evidence.LEAST_KEPT", most := data.draw(st.integers(0, 4)))
        before = data.draw(st.dictionaries(st.integers(0, 9), METAS, max_size=3))
        told = np.array(list(before), np.int64)
        zeros = np.zeros((len(told), COLUMNS)), np.zeros((len(told), MAX_POINTS), np.int64), told, np.zeros(len(told), np.int64)
        texts.written(before, np.zeros(10, np.int32), *zeros)
        texts.written({}, np.zeros(10, np.int32), *zeros)  # they are known: nobody is asked
        text, ends = texts.written(metas, np.ones(10, np.int32), *columns)
    assert len(texts) <= max(most, 2 * len(before), 2 * len(metas)), "what was told of before is let go"
    begin = 0
    for number, (meta, end) in enumerate(zip(metas.values(), ends, strict=True)):
        if end == NOT_PLAIN:
            assert wild or "\\x00" in repr(meta), "what is in short is printed"
            continue
        expected = evidence_of(meta, values[number], times[number], kept[number])
        assert text[begin:end] == msgspec.json.encode(expected) + b","
        begin = end
    assert begin == len(text)


@given(st.floats(1e-3, 1e15), st.sampled_from([1, -1]))
def test_every_value_in_short_that_needs_no_exponent_is_printed(size: float, sign: int) -> None:
    out, value = np.zeros(64, np.uint8), sign * short(size)
    if LEAST <= abs(value) < MOST:
        end = put_number(out, 0, value)
        assert out[:end].tobytes() == msgspec.json.encode(value)


@pytest.mark.parametrize(("form", "model"), [(HealthRecord, Health), (EvidenceRecord, SeriesEvidence)])
def test_both_forms_have_the_same_fields(form: type[msgspec.Struct], model: type[BaseModel]) -> None:
    assert list(form.__struct_fields__[: len(model.model_fields)]) == sorted(model.model_fields)


@given(st.floats(-1e30, 1e30))
def test_a_value_in_short_is_the_nearest_number_of_so_many_digits(value: float) -> None:
    digits = abs(value) * 10.0 ** (DIGITS - 1 - math.floor(math.log10(abs(value)))) if abs(value) > 1e-13 else 0.5
    if abs(digits % 1 - 0.5) > 1e-6:  # between two: either will do
        assert short(value) == float(f"{value:.{DIGITS}g}")


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 0.1, -0.3, 999_999_999.6, 1e30, 1e-300, 5e-324, math.inf])
def test_a_value_that_is_short_stays_as_it_is(value: float) -> None:
    assert short(value) == (1e9 if value == 999_999_999.6 else value)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(-3, 3), st.integers(-1, 1), st.integers(0, 2)), max_size=12))
def test_the_worst_of_a_group_stand_first(described: list[tuple[bool, int, int, int, int]]) -> None:
    slots = Slots()
    for shifted, bad_at, z, sign, seen in described:
        row = slots.take()
        slots.state[row], slots.bad_at[row] = SHIFTED if shifted else ORDINARY, bad_at
        slots.z[row], slots.sign[row], slots.seen[row] = z, sign, seen
    members, most = np.arange(slots.used), 4
    rows, counts = choose(slots.rows, members, np.array([0, 0, slots.used]), np.array([True, True]), 2, most)
    there = [row for row in members.tolist() if described[row][4]]
    bad = {row: z * sign if sign else abs(z) for row, (_, _, z, sign, _) in enumerate(described)}
    worst = sorted(there, key=lambda row: (not described[row][0], described[row][1] < 2, -bad[row], row))
    assert rows.tolist() == worst[:most]
    assert counts.tolist() == [[0, 0, 0], [min(most, len(there)), len(there), sum(described[row][0] for row in there)]]
