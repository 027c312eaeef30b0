"""Rows by key in sorted arrays: they say what a dict says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detection.series import row_index
from models.detection.series.row_index import RowIndex

KEYS = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 7, 8, 9])
DELETE, SETTLE = -1, -2
CHANGES = st.lists(st.tuples(KEYS, st.integers(0, 3) | st.sampled_from([DELETE, SETTLE])), max_size=40)


@given(CHANGES, st.integers(0, 3))
def test_it_is_a_dict(changes: list[tuple[int, int]], least_new: int) -> None:
    index, plain = RowIndex(), dict[int, int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_index, "_LEAST_NEW", least_new)
        for key, row in changes:
            if row == SETTLE:
                index.settled()
            elif row == DELETE and key in plain:
                assert index.pop(key) == plain.pop(key)
            elif row == DELETE:
                with pytest.raises(KeyError):
                    del index[key]
            else:
                index[key] = plain[key] = row
            assert (dict(index), len(index), key in index, index.get(key)) == (plain, len(plain), key in plain, plain.get(key))
        keys, rows = index.settled()
    assert keys.tolist() == sorted(plain)
    assert dict(zip(keys.tolist(), rows.tolist(), strict=True)) == plain
    assert RowIndex.of(np.array(list(plain), np.uint64), np.array(list(plain.values()), np.int64)) == plain


def test_rows_take_four_bytes_each_and_few_wait_to_be_sorted() -> None:
    index = RowIndex()
    for row in range(100_000):
        index.add((row * 0x9E3779B97F4A7C15) % 2**64, row)
    assert len(index._new) <= 100_000 // 32 + 1024
    assert index.settled()[1].itemsize == 4
