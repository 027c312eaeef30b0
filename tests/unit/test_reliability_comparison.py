"""What stages of two releases wrote is held against a replay with each."""

from __future__ import annotations

from tests.faults.reliability.comparison import Comparison, Written

SORT = ("log", "kind")


def written(*values: str) -> Written:
    return Written.of((SORT, f'{{"id":"{value[0]}","says":"{value}"}}'.encode()) for value in values)


def name(of: str) -> tuple[str, str, str]:
    return (*SORT, of)


def test_what_both_write_must_be_there_as_they_write_it() -> None:
    replays = [written("a1", "b1"), written("a1", "b1")]
    assert Comparison.between(replays, written("a1", "b1"), written("a1", "b1", "b1")) == Comparison(frozenset(), frozenset(), 1, 0)
    found = Comparison.between(replays, written("a1", "b2"), written("a1", "b2"))
    assert (found.lost, found.wrong) == ({name("b")}, {name("b")})


def test_what_the_releases_write_differently_must_be_there_whatever_it_says() -> None:
    replays = [written("a1", "b1"), written("a1", "b2")]
    assert Comparison.between(replays, written("a1", "b3"), written("a1", "b3")) == Comparison(frozenset(), frozenset(), 0, 1)
    assert Comparison.between(replays, written("a1"), written("a1")).lost == {name("b")}


def test_what_one_of_them_alone_writes_may_be_there_or_not_and_what_none_writes_must_not() -> None:
    replays = [written("a1"), written("a1", "c1")]
    assert Comparison.between(replays, written("a1"), written("a1")) == Comparison(frozenset(), frozenset(), 0, 1)
    assert Comparison.between(replays, written("a1", "c1"), written("a1", "c1")) == Comparison(frozenset(), frozenset(), 0, 1)
    assert Comparison.between(replays, written("a1", "d1"), written("a1", "d1")).wrong == {name("d")}


def test_what_is_of_no_sort_that_a_replay_writes_is_somebody_elses() -> None:
    others = Written.of([(("log", "other"), b'{"id":"x"}')])
    assert Comparison.between([written("a1")], others, Written({**others.counts, **written("a1").counts})).wrong == frozenset()


def test_what_comes_while_the_inputs_are_read_is_no_error_and_completes() -> None:
    assert Comparison.between([written("a1", "b1")], written("a1"), written("a1", "b1", "e1")) == Comparison(frozenset(), frozenset(), 0, 0)
