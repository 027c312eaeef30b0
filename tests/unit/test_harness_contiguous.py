"""What the corrected consumer delivers: an unbroken run of offsets, whatever arrives."""

from streams.harness.contiguous import Contiguous


def delivered(run: Contiguous, offsets: list[int]) -> list[int]:
    return [offset for offset in offsets if run.take(0, offset)]


def test_nothing_is_delivered_before_a_partition_is_opened() -> None:
    assert delivered(Contiguous(), [0, 1, 2]) == []


def test_repeats_and_records_from_before_a_seek_are_passed_over() -> None:
    run = Contiguous()
    run.open(0, 10)
    assert delivered(run, [8, 9, 10, 10, 11, 9, 12]) == [10, 11, 12]


def test_a_hole_is_seen_and_nothing_beyond_it_is_delivered() -> None:
    run = Contiguous()
    run.open(0, 10)
    assert delivered(run, [10, 13, 14]) == [10]
    assert run.beyond(0, 13)
    assert not run.beyond(0, 11)
    assert run.expected(0) == 11


def test_after_reading_again_the_run_goes_on() -> None:
    run = Contiguous()
    run.open(0, 750)
    assert delivered(run, [3044, 3045]) == []
    assert delivered(run, [750, 751]) == [750, 751]


def test_a_rebalance_forgets_every_partition() -> None:
    run = Contiguous()
    run.open(0, 5)
    run.close()
    assert run.expected(0) is None
    assert not run.beyond(0, 9)
    assert delivered(run, [5, 6]) == []
