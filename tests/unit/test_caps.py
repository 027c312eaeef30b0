"""Which bounds the product has is read from its code, and each is listed with the counter that says its table was full."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.settings import PREFIX
from tests.faults.load.bounds import found
from tests.faults.load.caps import SEEN, Ran
from tests.faults.load.tables import COUNTED, OF_ONE_THING, WAITED_FOR

REPO = Path(__file__).parents[2]


def test_every_bound_of_the_product_is_listed_once() -> None:
    listed = [*COUNTED, *WAITED_FOR, *OF_ONE_THING]
    assert sorted(set(listed)) == sorted(found(REPO))
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    "code",
    [
        "MAX_NEW = 5\n",
        "NEWEST_KEPT = 5\n",
        "ROOM = 5\n\ndef add(table):\n    while len(table) > ROOM:\n        table.pop()\n",
        "ROOM = 5\n\ndef add(state):\n    cap(state, 'new', state.new, ROOM)\n",
        "ROOM = 5\n\ndef add(names):\n    del names[:-ROOM]\n",
        "ROOM = 5\nqueue = deque(maxlen=ROOM)\n",
        "ROOM = 5\n\ndef make(limit=ROOM):\n    return limit\n",
        "class Table:\n    max_rows: int = 5\n",
    ],
)
def test_a_new_bound_is_found_by_its_name_or_by_its_use(code: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/new.py").write_text(code)
    assert len(found(tmp_path)) == 1


def test_what_bounds_time_or_one_text_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/new.py").write_text("MAX_WAIT_S = 5\nTEXT_CHARS = 5\n\ndef cut(text):\n    return len(text) > TEXT_CHARS\n")
    assert found(tmp_path) == set()


def test_each_table_that_was_never_full_is_named() -> None:
    every = frozenset(series for of in COUNTED.values() for series in of)
    assert Ran(every, frozenset(WAITED_FOR.values()), 0).missing() == []
    gone = "airra_approve_evicted_entries_total cases"
    assert Ran(every - {gone}, frozenset(WAITED_FOR.values()), 0).missing() == [f"models/approvals/case.py: MAX_CASES: {gone} never moved"]
    assert len(Ran(every, frozenset(), 0).missing()) == len(WAITED_FOR)


def test_what_is_handed_to_the_tests_is_no_setting_that_they_would_refuse() -> None:
    assert not SEEN.startswith(PREFIX)
