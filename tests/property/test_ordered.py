"""Looking a hash up by its leading bits finds what plain looking finds, however few there are and wherever they lie."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.compiled import compiled
from models.detection.ordered_kernel import begins_of, place_among, place_of, shift_of

HASHES = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]), st.integers(2**63, 2**63 + 50))


@compiled
def places(ordered: np.ndarray, begins: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    quick, plain = np.empty(len(asked), np.int64), np.empty(len(asked), np.int64)
    shift = shift_of(begins)
    for i in range(len(asked)):
        quick[i], plain[i] = place_among(ordered, begins, shift, asked[i]), place_of(ordered, asked[i])
    return quick, plain


@given(st.sets(HASHES, max_size=80), st.lists(HASHES, max_size=20))
def test_what_is_found_by_leading_bits_is_what_is_there(known: set[int], others: list[int]) -> None:
    ordered = np.array(sorted(known), np.uint64)
    asked = np.array([*sorted(known), *others], np.uint64)
    quick, plain = places(ordered, begins_of(ordered), asked)
    assert quick.tolist() == plain.tolist()
    assert quick[: len(known)].tolist() == list(range(len(known)))
