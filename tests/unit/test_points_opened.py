"""When the bench of the harness's crash points may end its workers: not before they have opened what is assigned to them."""

from __future__ import annotations

from tests.faults.points.harness_bench import opened

ASSIGNED = "2026-11-29 08:52:17 [info     ] partitions_assigned            partitions=[0, 1] stage=count\n"
OPENED = "2026-11-29 08:52:18 [info     ] partition_opened               end=9 offset=9 partition={} stage=count\n"
BOTH = OPENED.format(0) + OPENED.format(1)


def test_a_worker_counts_once_it_has_opened_all_that_its_newest_assignment_names() -> None:
    assert opened("") == 0
    assert opened(ASSIGNED) == 0
    assert opened(ASSIGNED + OPENED.format(1)) == 0
    assert opened(ASSIGNED + BOTH) == 2
    assert opened(ASSIGNED + BOTH + ASSIGNED) == 0
    assert opened(ASSIGNED + BOTH + ASSIGNED + BOTH) == 2
