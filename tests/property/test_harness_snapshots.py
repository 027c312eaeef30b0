"""Snapshots under cuts: whatever prefix of the writes reached the changelog, a whole snapshot is found, and it is the right one."""

from hypothesis import given
from hypothesis import strategies as st

from streams.harness import snapshots
from streams.harness.snapshots import CHUNK_BYTES, Snapshot, decode, encode

sizes = st.sampled_from([0, 1, 17, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 3])


def data(size: int, seed: int) -> bytes:
    return (b"%d:" % seed * (size // 2 + 1))[:size]


@given(st.lists(st.tuples(sizes, st.integers(0, 3)), min_size=1, max_size=6), st.data())
def test_a_cut_at_any_point_leaves_the_last_whole_snapshot(history: list[tuple[int, int]], draw: st.DataObject) -> None:
    """Given snapshots by changing owners, when the last write is cut off anywhere, then the one before it is read."""
    table: dict[bytes, bytes] = {}
    taken = [Snapshot(10 * number, number, data(size, number)) for number, (size, _) in enumerate(history, 1)]
    for snapshot, (_, owner) in zip(taken[:-1], history, strict=False):
        table.update(encode(3, owner, snapshot))
    last = encode(3, history[-1][1], taken[-1])
    cut = draw.draw(st.integers(0, len(last)))
    table.update(last[:cut])
    expected = taken[-1] if cut == len(last) else (taken[-2] if len(taken) > 1 else None)
    assert decode(table, 3) == expected
    assert decode(table, 4) is None


@given(sizes, sizes)
def test_a_zombie_writes_into_slots_of_its_own_and_its_older_state_is_not_read(new: int, old: int) -> None:
    """Given the new owner's snapshot, when the owner before it still writes an older one, then the newer is read."""
    fresh, stale = Snapshot(100, 7, data(new, 1)), Snapshot(60, 8, data(old, 2))
    table = dict(encode(0, 5, fresh))
    table.update(encode(0, 4, stale))
    assert decode(table, 0) == fresh


@given(st.integers(0, 20), st.integers(0, 20))
def test_what_other_owners_left_is_named_for_deletion(mine: int, other: int) -> None:
    table = dict(encode(1, mine, Snapshot(5, 1, b"abc")))
    foreign = dict(encode(1, other, Snapshot(4, 1, b"xyz")))
    elsewhere = dict(encode(11, other, Snapshot(4, 1, b"xyz")))
    stale = set(snapshots.superseded({**elsewhere, **foreign, **table}, 1, mine))
    assert stale == (set() if mine % snapshots.OWNER_SLOTS == other % snapshots.OWNER_SLOTS else set(foreign))
